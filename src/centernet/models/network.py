"""A whole network: backbone, neck and heads put together, and the parameters they own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property
from types import ModuleType
from typing import Any

import nnabla as nn

from centernet import plugins
from centernet.errors import ConfigError
from centernet.models.ops import BatchNorm, Ops
from centernet.models.recompute import recompute_between
from centernet.models.specs import FeatureSpec, HeadSpec, InputSizes, Layout

BACKBONES = "centernet.models.backbones"
NECKS = "centernet.models.necks"
HEADS = "centernet.models.heads"


class Network:
    """Calling it with an image variable builds the graph; calls share the parameters.

    The three parts are given by their `Config`; the plug-in a Config belongs to is found by itself.
    """

    def __init__(
        self,
        backbone: Any,
        neck: Any,
        head: Any,
        heads: Mapping[str, HeadSpec],
        *,
        layout: Layout = "nchw",
        input_channels: int = 3,
        seed: int | None = 0,
        scope: OrderedDict[str, Any] | None = None,
    ) -> None:
        """
        Args:
            heads: what to predict; the order is that of the parameters in a file.
            input_channels: 3, or 4 where a fourth channel of zeros feeds tensor cores.
            seed: of the initial values; None: zeros, for networks that are only looked at, or filled from a file.
            scope: where the parameters live, so that two networks do not meet; default: NNabla's current scope.

        Raises:
            ConfigError: neck and backbone do not fit, or the head is not for these outputs.
        """
        self.backbone, self.neck, self.head = backbone, neck, head
        self.heads = dict(heads)
        self.layout = layout
        self.input_channels = input_channels
        self.seed = seed
        self.scope = scope
        self._backbone = plugins.load(BACKBONES, plugins.name_of(backbone))
        self._neck = plugins.load(NECKS, plugins.name_of(neck))
        self._head = plugins.load(HEADS, plugins.name_of(head))
        self._levels: list[FeatureSpec] = self._backbone.features(backbone)
        try:
            self.feature: FeatureSpec = self._neck.features(neck, self._levels)
        except ValueError as error:
            fitting = ", ".join(_necks_for(self._levels)) or "none"
            pair = f"{plugins.name_of(neck)} on {plugins.name_of(backbone)}"
            raise ConfigError(f"model.neck: {pair}: {error}; necks that fit this backbone: {fitting}") from error
        try:
            _check_heads(self._head, self.heads)
        except ValueError as error:
            fitting = ", ".join(_heads_for(self.heads))
            raise ConfigError(f"model.head: {plugins.name_of(head)} {error}; heads that fit this task: {fitting}") from error

    @property
    def stride(self) -> int:
        """Input pixels per heatmap cell."""
        return self.feature.stride

    @property
    def input_sizes(self) -> InputSizes:
        """Heights and widths of the input; where the backbone has no rule of its own, the coarsest feature is never cut."""
        sizes = getattr(self._backbone, "input_sizes", None)
        return InputSizes(max(level.stride for level in self._levels)) if sizes is None else sizes(self.backbone)

    @property
    def input_multiple(self) -> int:
        """Height and width of the input may be multiples of it."""
        return self.input_sizes.multiple

    @property
    def pretrained_name(self) -> str | None:
        """What published ImageNet files of the backbone are called, None where there are none."""
        name = getattr(self._backbone, "pretrained_name", None)
        return None if name is None else str(name(self.backbone))

    def input_shape(self, batch: int, height: int, width: int) -> tuple[int, int, int, int]:
        """The shape of the image variable in this layout.

        Raises:
            ConfigError: height or width is not one of `input_sizes`.
        """
        sizes = self.input_sizes
        if not (sizes.takes(height) and sizes.takes(width)):
            nearest = f"{sizes.nearest(height)}x{sizes.nearest(width)}"
            raise ConfigError(f"input size {height}x{width} (height x width): expected {sizes}; the nearest that fits is {nearest}")
        if self.layout == "nhwc":
            return batch, height, width, self.input_channels
        return batch, self.input_channels, height, width

    def __call__(
        self,
        image: nn.Variable,
        *,
        training: bool = False,
        batch_stat: bool | None = None,
        frozen: Collection[str] = (),
        recompute: bool = False,
        normalise: BatchNorm | None = None,
    ) -> list[dict[str, nn.Variable]]:
        """Build the graph on `image`, whose shape is an `input_shape`.

        Args:
            training: whether parameters take gradients.
            batch_stat: batch norm uses the batch's own statistics; default: if training.
            frozen: names of parameters that take none even then; a batch norm with one of them keeps its running statistics.
            recompute: of the backbone keep only each stage's output for backward, and compute the rest again.
            normalise: batch normalisation with the batch's own statistics; default: NNabla's.

        Returns:
            One dict of raw output maps per stack, in this layout, each (height, width) / stride large, rounded up. A backbone
            that declares `stacks` has so many, each with heads of its own; any other has one.

        Raises:
            ConfigError: the image's shape is not an `input_shape`.
        """
        height, width = image.shape[1:3] if self.layout == "nhwc" else image.shape[2:4]
        expected = self.input_shape(image.shape[0], height, width)
        if tuple(image.shape) != expected:
            raise ConfigError(f"network input has shape {tuple(image.shape)}, expected {expected} ({self.layout})")
        ops = Ops(layout=self.layout, training=training, batch_stat=batch_stat, seed=self.seed, frozen=frozen, normalise=normalise)
        with self.parameter_scope():
            return self._build(image, ops, recompute=recompute)

    @contextmanager
    def parameter_scope(self) -> Iterator[None]:
        """Make the network's own scope NNabla's current one, for NNabla's functions that look there."""
        scope = nn.parameter.get_current_parameter_scope() if self.scope is None else self.scope
        with nn.parameter_scope("", scope):
            yield

    def parameters(self, *, drawn: bool = True) -> dict[str, nn.Variable]:
        """Every parameter by name, in the order of files, created where it is not there yet.

        Args:
            drawn: new ones get initial values; else they are zero, for a file that fills all of them.
        """
        with self.parameter_scope():
            self._build(self._smallest_image(), Ops(layout=self.layout, seed=self.seed if drawn else None))
            found = nn.get_parameters(grad_only=False)
        return {name: found[name] for name in self.parameter_shapes()}

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter in the order of files; touches no values."""
        return {name: tuple(variable.shape) for name, variable in self._blueprint.items()}

    @cached_property
    def trainable(self) -> dict[str, bool]:
        """For every parameter whether a solver trains it; running statistics it does not."""
        return {name: bool(variable.need_grad) for name, variable in self._blueprint.items()}

    def backbone_shapes(self) -> dict[str, tuple[int, ...]]:
        """As `parameter_shapes`, of the backbone alone: what an ImageNet file has to offer."""
        with nn.parameter_scope("", OrderedDict()):
            self._backbone.build(self._smallest_image(), Ops(layout=self.layout, seed=None), self.backbone)
            return {name: tuple(variable.shape) for name, variable in nn.get_parameters(grad_only=False).items()}

    @cached_property
    def _blueprint(self) -> dict[str, nn.Variable]:
        with nn.parameter_scope("", OrderedDict()):
            self._build(self._smallest_image(), Ops(layout=self.layout, seed=None))
            return dict(nn.get_parameters(grad_only=False))

    def _build(self, image: nn.Variable, ops: Ops, *, recompute: bool = False) -> list[dict[str, nn.Variable]]:
        features = self._backbone.build(image, ops, self.backbone)
        has_stacks = hasattr(self._backbone, "stacks")
        if recompute:
            recompute_between(image, [level for levels in features for level in levels] if has_stacks else features)
        if not has_stacks:
            return [self._outputs(features, ops, self.heads)]
        outputs = []
        for stack, levels in enumerate(features):
            heads = {name: replace(spec, stack=stack) for name, spec in self.heads.items()}
            outputs.append(self._outputs(levels, ops, heads, neck_scope=f"neck/{stack}"))
        return outputs

    def _outputs(
        self, levels: list[nn.Variable], ops: Ops, heads: Mapping[str, HeadSpec], *, neck_scope: str | None = None
    ) -> dict[str, nn.Variable]:
        with nullcontext() if neck_scope is None else ops.scope(neck_scope):
            feature = self._neck.build(levels, ops, self.neck)
        outputs: dict[str, nn.Variable] = self._head.build(feature, ops, self.head, heads)
        return outputs

    def _smallest_image(self) -> nn.Variable:
        return nn.Variable(self.input_shape(1, self.input_multiple, self.input_multiple))


def _necks_for(levels: list[FeatureSpec]) -> list[str]:
    """The necks that take these features, each as it is without options."""
    found = []
    for name in plugins.names(NECKS):
        neck = plugins.load(NECKS, name)
        with suppress(ValueError):
            neck.features(neck.Config(), levels)
            found.append(name)
    return found


def _heads_for(heads: Mapping[str, HeadSpec]) -> list[str]:
    """The head plug-ins that are for these outputs."""
    found = []
    for name in plugins.names(HEADS):
        with suppress(ValueError):
            _check_heads(plugins.load(HEADS, name), heads)
            found.append(name)
    return found


def _check_heads(plugin: ModuleType, heads: Mapping[str, HeadSpec]) -> None:
    """ValueError where a head that says what it is for is not for these outputs."""
    if hasattr(plugin, "check_heads"):
        plugin.check_heads(heads)
