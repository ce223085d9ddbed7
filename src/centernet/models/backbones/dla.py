"""DLA-34 (Yu et al. 2018, Deep Layer Aggregation, arXiv:1707.06484, figure 3) as CenterNet's authors wire and name it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.initial import fan_out_normal
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, scaled

CHANNELS = (16, 32, 64, 128, 256, 512)  # of levels 0 to 5, strides 1 to 32
DEPTHS = (1, 2, 2, 1)  # of the trees that are levels 2 to 5
FINEST_LEVEL = 2  # the first that is handed on


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    num_layers: Literal[34] = 34
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies all channels


def features(config: Config) -> list[FeatureSpec]:
    """Levels 2 to 5, strides 4, 8, 16 and 32."""
    return [FeatureSpec(1 << level, _channels(config)[level]) for level in range(FINEST_LEVEL, len(CHANNELS))]


def build(x: nn.Variable, ops: Ops, config: Config) -> list[nn.Variable]:
    """The outputs of levels 2 to 5 of image x, finest first."""
    channels = _channels(config)
    levels = []
    with ops.scope("base"):
        for name, level, kernel, stride in (("base_layer", 0, 7, 1), ("level0", 0, 3, 1), ("level1", 1, 3, 2)):
            with ops.scope(name):
                x = _conv_bn(x, ops, channels[level], kernel, names=("0", "1"), stride=stride)
                x = ops.relu(x)
        for level, depth in enumerate(DEPTHS, start=FINEST_LEVEL):
            with ops.scope(f"level{level}"):
                x = _tree(x, ops, channels[level], depth=depth, stride=2, keeps_bottom=level > FINEST_LEVEL)
            levels.append(x)
    return levels


def _channels(config: Config) -> list[int]:
    return [scaled(channels, config.width) for channels in CHANNELS]


def _tree(
    x: nn.Variable,
    ops: Ops,
    channels: int,
    *,
    depth: int,
    stride: int,
    keeps_bottom: bool = False,
    also: Sequence[nn.Variable] = (),
) -> nn.Variable:
    """Two trees of one depth less, the second on top of the first; at depth 1 two residual blocks and their root.

    keeps_bottom: the last root sees the tree's (pooled) input too. also: more inputs of the last root.
    """
    bottom = ops.max_pool(x, stride, stride=stride) if stride > 1 else x
    also = [*also, bottom] if keeps_bottom else also
    if depth > 1:  # files of the original also have a projection here, whose result it never uses
        with ops.scope("tree1"):
            first = _tree(x, ops, channels, depth=depth - 1, stride=stride)
        with ops.scope("tree2"):
            return _tree(first, ops, channels, depth=depth - 1, stride=1, also=[*also, first])
    shortcut = bottom
    if ops.channels(bottom) != channels:
        with ops.scope("project"):
            shortcut = _conv_bn(bottom, ops, channels, 1, names=("0", "1"))
    with ops.scope("tree1"):
        first = _block(x, ops, channels, stride=stride, shortcut=shortcut)
    with ops.scope("tree2"):
        second = _block(first, ops, channels, stride=1, shortcut=first)
    with ops.scope("root"):
        return ops.relu(_conv_bn(ops.concatenate(second, first, *also), ops, channels, 1, names=("conv", "bn")))


def _block(x: nn.Variable, ops: Ops, channels: int, *, stride: int, shortcut: nn.Variable) -> nn.Variable:
    y = ops.relu(_conv_bn(x, ops, channels, 3, names=("conv1", "bn1"), stride=stride))
    return ops.add_relu(_conv_bn(y, ops, channels, 3, names=("conv2", "bn2")), shortcut)


def _conv_bn(x: nn.Variable, ops: Ops, channels: int, kernel: int, *, names: tuple[str, str], stride: int = 1) -> nn.Variable:
    return ops.conv_bn(x, channels, kernel, stride=stride, initial=fan_out_normal, relu=False, names=names)
