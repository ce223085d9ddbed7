"""Batch normalisation over the batches of all processes, for networks that see few images each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np
from nnabla.function import PythonFunction

from centernet.engine.communicator import Communicator, Nccl
from centernet.engine.context import in_float
from centernet.structures import Array

BatchNorm = Callable[..., nn.Variable]


def synchronised(communicator: Communicator) -> BatchNorm | None:
    """What takes the place of NNabla's batch normalisation in training; None: one process needs nothing else.

    It is called with (x, beta, gamma, mean, variance, *, axis, decay, epsilon) and gives the normalised x. It is collective,
    forward and backward: all processes must have the same network. On GPUs it is NNabla's own (not tried on any so far).
    """
    if communicator.size == 1:
        return None
    if isinstance(communicator, Nccl):
        return _on_gpus(communicator.core)

    def normalise(*inputs: nn.Variable, axis: int, decay: float, epsilon: float) -> nn.Variable:
        function = _Normalisation(communicator, axis=axis, decay=decay, epsilon=epsilon)
        normalised: nn.Variable = function(*inputs)
        return normalised

    return normalise


def _on_gpus(core: Any) -> BatchNorm:
    def normalise(*inputs: nn.Variable, axis: int, decay: float, epsilon: float) -> nn.Variable:
        # In float32 always: NNabla's own passes the number of values, images times pixels, through the type it computes in.
        with nn.context_scope(in_float(nn.get_current_context())):
            return F.sync_batch_normalization(*inputs, core, axes=[axis], decay_rate=decay, eps=epsilon, batch_stat=True)

    return normalise


class _Normalisation(PythonFunction):
    """On CPUs, where NNabla has none: sums over the process's batch with NumPy, and over processes with the communicator."""

    def __init__(self, communicator: Communicator, *, axis: int, decay: float, epsilon: float) -> None:
        super().__init__(nn.get_current_context())
        self._communicator = communicator
        self._axis, self._decay, self._epsilon = axis, decay, epsilon
        self._count = 0.0
        self._mean = self._scale = np.zeros(0)

    @property
    def name(self) -> str:
        """As NNabla calls it."""
        return "SyncBatchNormalization"

    def min_outputs(self) -> int:
        """The normalised x."""
        return 1

    def setup_impl(self, inputs: list[nn.Variable], outputs: list[nn.Variable]) -> None:
        """The shape of x."""
        outputs[0].reset_shape(inputs[0].shape, True)

    def grad_depends_input_data(self, i: int, j: int) -> bool:
        """Of x and gamma, on all that the output depends on."""
        return True

    def grad_depends_output_data(self, i: int, o: int) -> bool:
        """On none."""
        return False

    def forward_impl(self, inputs: list[nn.Variable], outputs: list[nn.Variable]) -> None:
        """Normalise with the sums over all processes; running statistics as NNabla's, the variance without bias."""
        x = inputs[0].d
        beta, gamma = (parameter.d.ravel() for parameter in inputs[1:3])
        own = [self._sum(x), self._sum(np.square(x)), np.array([x.size / beta.size])]
        parts = self._communicator.sum(np.concatenate(own))
        self._count = parts[-1]
        mean, square = (sums / self._count for sums in np.split(parts[:-1], 2))
        variance = np.maximum(square - mean * mean, 0.0)
        self._mean, self._scale = mean, 1 / np.sqrt(variance + self._epsilon)
        factor = gamma * self._scale
        outputs[0].d[...] = x * self._spread(factor, x) + self._spread(beta - mean * factor, x)
        unbiased = variance * (self._count / max(self._count - 1, 1))
        for running, new in ((inputs[3], mean), (inputs[4], unbiased)):
            running.d[...] = self._decay * running.d + (1 - self._decay) * new.reshape(running.shape)

    def backward_impl(self, inputs: list[nn.Variable], outputs: list[nn.Variable], propagate_down: list[bool], accum: list[bool]) -> None:
        """Of x, with the sums over all processes; of beta and gamma this process's part, as of any other parameter.

        Ioffe and Szegedy 2015, arXiv:1502.03167, section 3, with the sums over the whole batch.
        """
        x, dy = inputs[0].d, outputs[0].g
        normal = (x - self._spread(self._mean, x)) * self._spread(self._scale, x)
        own = np.stack([self._sum(dy), self._sum(dy * normal)])
        whole = self._communicator.sum(own) / self._count
        factor = inputs[2].d.ravel() * self._scale
        if propagate_down[0]:
            dx = self._spread(factor, x) * (dy - self._spread(whole[0], x) - normal * self._spread(whole[1], x))
            _put(inputs[0], dx, is_added=accum[0])
        for position, gradient in ((1, own[0]), (2, own[1])):
            if propagate_down[position]:
                _put(inputs[position], gradient.reshape(inputs[position].shape), is_added=accum[position])

    def _sum(self, x: Array) -> Array:
        """(channels,), in double precision."""
        total: Array = x.sum(axis=tuple(axis for axis in range(x.ndim) if axis != self._axis), dtype=np.float64)
        return total

    def _spread(self, values: Array, x: Array) -> Array:
        """(channels,) as float32 that multiplies x."""
        return values.astype(np.float32).reshape([-1 if axis == self._axis else 1 for axis in range(x.ndim)])


def _put(variable: nn.Variable, gradient: Array, *, is_added: bool) -> None:
    if is_added:
        variable.g[...] += gradient
    else:
        variable.g[...] = gradient
