"""DLA-34 (Yu et al. 2018, Deep Layer Aggregation, arXiv:1707.06484, figure 3) as the predecessor names and wires it.

Unlike the original, a projection's input is the pooled one, and trees are the two shapes DLA-34 needs.
"""

from __future__ import annotations

from typing import Annotated, Literal

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.initial import fan_out_normal, glorot_uniform
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, scaled

CHANNELS = (16, 32, 64, 128, 256, 512)  # of levels 0 to 5, strides 1 to 32
FINEST_LEVEL = 2  # the first that is handed on


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    num_layers: Literal[34] = 34
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies all channels


def features(config: Config) -> list[FeatureSpec]:
    """Levels 2 to 5, strides 4, 8, 16 and 32."""
    return [FeatureSpec(1 << level, _channels(config)[level]) for level in range(FINEST_LEVEL, len(CHANNELS))]


def pretrained_name(config: Config) -> str:
    """What published ImageNet files of this backbone are called."""
    return f"dla{config.num_layers}"


def build(x: nn.Variable, ops: Ops, config: Config) -> list[nn.Variable]:
    """The outputs of levels 2 to 5 of image x, finest first."""
    channels = _channels(config)
    with ops.scope("conv1"):
        x = ops.conv_bn(x, channels[0], 7, initial=glorot_uniform)
    with ops.scope("level0/conv1"):
        x = ops.conv_bn(x, channels[0], 3, initial=glorot_uniform)
    with ops.scope("level1/conv1"):
        x = ops.conv_bn(x, channels[1], 3, stride=2, initial=glorot_uniform)
    with ops.scope("level2"):
        level2 = _tree(x, ops, channels[2], stride=2)
    with ops.scope("level3"):
        level3 = _two_trees(level2, ops, channels[3])
    with ops.scope("level4"):
        level4 = _two_trees(level3, ops, channels[4])
    with ops.scope("level5"):
        level5 = _tree(level4, ops, channels[5], stride=2, keeps_bottom=True)
    return [level2, level3, level4, level5]


def _channels(config: Config) -> list[int]:
    return [scaled(channels, config.width) for channels in CHANNELS]


def _two_trees(x: nn.Variable, ops: Ops, channels: int) -> nn.Variable:
    """A tree at half the size, then one whose root also sees both inputs."""
    with ops.scope("node1"):
        first = _tree(x, ops, channels, stride=2)
    with ops.scope("node2"):
        return _tree(first, ops, channels, keeps_bottom=True, also=ops.max_pool(x, 2, stride=2))


def _tree(
    x: nn.Variable, ops: Ops, channels: int, *, stride: int = 1, keeps_bottom: bool = False, also: nn.Variable | None = None
) -> nn.Variable:
    """Two residual blocks joined by a root.

    keeps_bottom: the root sees the tree's (pooled) input too. also: one more input of the root.
    """
    bottom = ops.max_pool(x, stride, stride=stride) if stride > 1 else x
    shortcut = bottom
    if ops.channels(bottom) != channels:
        shortcut = ops.conv_bn(bottom, channels, 1, initial=glorot_uniform, relu=False)
    with ops.scope("block1"):
        block1 = _block(x, ops, channels, stride=stride, shortcut=shortcut)
    with ops.scope("block2"):
        block2 = _block(block1, ops, channels, shortcut=block1)
    parts = [block1, *([bottom] if keeps_bottom else []), block2, *([also] if also is not None else [])]
    with ops.scope("root"):
        return ops.conv_bn(ops.concatenate(*parts), channels, 1, initial=fan_out_normal)


def _block(x: nn.Variable, ops: Ops, channels: int, *, stride: int = 1, shortcut: nn.Variable) -> nn.Variable:
    with ops.scope("basicblock1"):
        y = ops.conv_bn(x, channels, 3, stride=stride, initial=glorot_uniform)
    with ops.scope("basicblock2"):
        y = ops.conv_bn(y, channels, 3, initial=glorot_uniform, relu=False)
    return ops.add_relu(y, shortcut)
