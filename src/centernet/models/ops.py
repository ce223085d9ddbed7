"""The layers networks are made of; layout, training or inference, and initial values are decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from zlib import crc32

import nnabla as nn
import nnabla.functions as F
import numpy as np

from centernet.models.initial import Array, Initial, constant
from centernet.models.precision import for_statistics
from centernet.models.specs import Layout

BatchNorm = Callable[..., nn.Variable]  # (x, beta, gamma, mean, variance, *, axis, decay, epsilon) -> x normalised

BATCH_NORM_DECAY = 0.9  # running = 0.9 * running + 0.1 * batch
BATCH_NORM_EPSILON = 1e-5


class Ops:
    """Builds layers in NNabla's current parameter scope.

    It holds only what more than one network uses. A parameter that already exists is used as it is; a new one
    gets values that depend on `seed` and on its own full name, not on the order of creation or the layout.
    """

    def __init__(
        self,
        *,
        layout: Layout = "nchw",
        training: bool = False,
        batch_stat: bool | None = None,
        seed: int | None = 0,
        frozen: Collection[str] = (),
        normalise: BatchNorm | None = None,
    ) -> None:
        """
        Args:
            layout: of every feature map and kernel. An NHWC graph can be built anywhere but runs on cuDNN only.
            training: whether parameters take gradients.
            batch_stat: normalise with the batch's own statistics and update the running ones; default: if training.
                False with training=True trains with frozen statistics.
            seed: of the initial values; None leaves new parameters zero, for graphs that only tell their shapes.
            frozen: full names of parameters that take no gradients; a batch norm with one of them keeps its running statistics.
            normalise: batch normalisation with the batch's own statistics; default: NNabla's.
        """
        self.layout = layout
        self.training = training
        self.batch_stat = training if batch_stat is None else batch_stat
        self.seed = seed
        self.frozen = frozen
        self.normalise = normalise
        self._path: list[str] = []

    @property
    def channel_last(self) -> bool:
        return self.layout == "nhwc"

    @property
    def channel_axis(self) -> int:
        return 3 if self.channel_last else 1

    def channels(self, x: nn.Variable) -> int:
        """Number of channels of a feature map."""
        return int(x.shape[self.channel_axis])

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Enter a parameter scope; `name` may have several parts, "res1/layer1"."""
        self._path.append(name)
        try:
            with nn.parameter_scope(name):
                yield
        finally:
            self._path.pop()

    def parameter(self, name: str, shape_nchw: Sequence[int], initial: Initial, *, trainable: bool = True) -> nn.Variable:
        """The parameter `name` of the current scope, stored in this layout, created if it is not there."""
        shape_nchw = tuple(shape_nchw)
        initializer = None
        if self.seed is not None:
            rng = np.random.default_rng((self.seed, crc32(self._full(name).encode())))

            def initializer(shape: Sequence[int]) -> Array:
                return np.ascontiguousarray(self._stored(initial(rng, shape_nchw)))

        shape = self._stored(np.empty(shape_nchw, np.bool_)).shape
        takes_gradients = trainable and self.training and self._full(name) not in self.frozen
        return nn.parameter.get_parameter_or_create(name, shape, initializer, trainable, takes_gradients)

    def convolution(
        self, x: nn.Variable, channels: int, kernel: int, *, stride: int = 1, group: int = 1, initial: Initial, bias: float | None = None
    ) -> nn.Variable:
        """Convolution in scope `conv`, padded so that stride 1 keeps the size; `bias` is the initial one, None: no bias.

        group: channels are split into so many groups, each with its own kernels; it divides those of x and `channels`.
        """
        with self.scope("conv"):
            weight = self.parameter("W", (channels, self.channels(x) // group, kernel, kernel), initial)
            shift = None if bias is None else self.parameter("b", (channels,), constant(bias))
        pad = (kernel // 2,) * 2
        return F.convolution(x, weight, shift, pad=pad, stride=(stride,) * 2, group=group, channel_last=self.channel_last)

    def deconvolution(self, x: nn.Variable, channels: int, *, initial: Initial, depthwise: bool = False, factor: int = 2) -> nn.Variable:
        """Transposed convolution in scope `deconv`, without bias: `factor` times the size by a kernel twice as wide.

        depthwise: each channel on its own; `channels` must be those of x. factor: even.
        """
        group = channels if depthwise else 1
        with self.scope("deconv"):
            weight = self.parameter("W", (self.channels(x), channels // group, 2 * factor, 2 * factor), initial)
        pad, stride = (factor // 2,) * 2, (factor,) * 2
        return F.deconvolution(x, weight, pad=pad, stride=stride, group=group, channel_last=self.channel_last)

    def batch_norm(self, x: nn.Variable, *, epsilon: float = BATCH_NORM_EPSILON, decay: float = BATCH_NORM_DECAY) -> nn.Variable:
        """Batch normalisation in scope `bn`, its statistics in float32; the order of its parameters is part of the file format."""
        shape = (1, self.channels(x), 1, 1)
        with self.scope("bn"):
            beta = self.parameter("beta", shape, constant(0))
            gamma = self.parameter("gamma", shape, constant(1))
            mean = self.parameter("mean", shape, constant(0), trainable=False)
            variance = self.parameter("var", shape, constant(1), trainable=False)
            is_frozen = any(self._full(name) in self.frozen for name in ("beta", "gamma", "mean", "var"))
        with nn.context_scope(for_statistics(nn.get_current_context())):
            if self.normalise is not None and self.batch_stat and not is_frozen:
                return self.normalise(x, beta, gamma, mean, variance, axis=self.channel_axis, decay=decay, epsilon=epsilon)
            return F.batch_normalization(
                x,
                beta,
                gamma,
                mean,
                variance,
                axes=[self.channel_axis],
                decay_rate=decay,
                eps=epsilon,
                batch_stat=self.batch_stat and not is_frozen,
            )

    def conv_bn(
        self,
        x: nn.Variable,
        channels: int,
        kernel: int,
        *,
        stride: int = 1,
        group: int = 1,
        initial: Initial,
        relu: bool = True,
        names: tuple[str, str] | None = None,
    ) -> nn.Variable:
        """Convolution without bias, batch normalisation and, where asked for, ReLU.

        names: scopes of their own for the first two; None: both are in the current one.
        """
        with nullcontext() if names is None else self.scope(names[0]):
            x = self.convolution(x, channels, kernel, stride=stride, group=group, initial=initial)
        with nullcontext() if names is None else self.scope(names[1]):
            x = self.batch_norm(x)
        return F.relu(x) if relu else x

    def relu(self, x: nn.Variable) -> nn.Variable:
        return F.relu(x)

    def relu6(self, x: nn.Variable) -> nn.Variable:
        """Between 0 and 6; of two functions that runtimes fuse again, since every format knows them."""
        return F.minimum_scalar(F.relu(x), 6)

    def add(self, a: nn.Variable, b: nn.Variable) -> nn.Variable:
        """The sum of two feature maps of one shape."""
        return F.add2(a, b)

    def add_relu(self, x: nn.Variable, residual: nn.Variable) -> nn.Variable:
        """The end of a residual block."""
        return F.relu(F.add2(x, residual))

    def max_pool(self, x: nn.Variable, kernel: int, *, stride: int, pad: int = 0) -> nn.Variable:
        """Square maximum pooling; a window that does not fit whole is left out."""
        return F.max_pooling(x, (kernel,) * 2, (stride,) * 2, pad=(pad,) * 2, channel_last=self.channel_last)

    def enlarge(self, x: nn.Variable) -> nn.Variable:
        """Twice the size, every cell four times."""
        return F.interpolate(x, scale=(2, 2), mode="nearest", align_corners=False, channel_last=self.channel_last)

    def concatenate(self, *parts: nn.Variable) -> nn.Variable:
        """Feature maps of the same size, channels one after the other."""
        return F.concatenate(*parts, axis=self.channel_axis)

    def _full(self, name: str) -> str:
        """A parameter of the current scope as a file calls it."""
        return "/".join([*self._path, name])

    def _stored(self, values: Array) -> Array:
        return values.transpose(0, 2, 3, 1) if self.channel_last and values.ndim == 4 else values
