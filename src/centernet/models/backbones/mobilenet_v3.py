"""MobileNetV3 small and large (Howard et al. 2019, arXiv:1905.02244, tables 1 and 2); the scopes are the modules of torchvision's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import nnabla as nn
import nnabla.functions as F
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.initial import fan_out_normal
from centernet.models.ops import Ops
from centernet.models.specs import CHANNEL_MULTIPLE, FeatureSpec, scaled

STEM_CHANNELS = 16
LAST_EXPANSION = 6  # channels of the 1x1 convolution behind the blocks, for each that goes in
SQUEEZE = 4  # channels of a block, for each inside its squeeze-and-excitation
BATCH_NORM_EPSILON = 1e-3  # also when trained from scratch: published weights need it
BATCH_NORM_DECAY = 0.99

Activation = Callable[[nn.Variable], nn.Variable]


class Block(NamedTuple):
    kernel: int
    expanded: int  # channels inside
    channels: int
    squeezes: bool  # has squeeze-and-excitation
    is_hard_swish: bool  # otherwise ReLU
    stride: int


BLOCKS = {
    "small": (
        Block(3, 16, 16, True, False, 2),
        Block(3, 72, 24, False, False, 2),
        Block(3, 88, 24, False, False, 1),
        Block(5, 96, 40, True, True, 2),
        Block(5, 240, 40, True, True, 1),
        Block(5, 240, 40, True, True, 1),
        Block(5, 120, 48, True, True, 1),
        Block(5, 144, 48, True, True, 1),
        Block(5, 288, 96, True, True, 2),
        Block(5, 576, 96, True, True, 1),
        Block(5, 576, 96, True, True, 1),
    ),
    "large": (
        Block(3, 16, 16, False, False, 1),
        Block(3, 64, 24, False, False, 2),
        Block(3, 72, 24, False, False, 1),
        Block(5, 72, 40, True, False, 2),
        Block(5, 120, 40, True, False, 1),
        Block(5, 120, 40, True, False, 1),
        Block(3, 240, 80, False, True, 2),
        Block(3, 200, 80, False, True, 1),
        Block(3, 184, 80, False, True, 1),
        Block(3, 184, 80, False, True, 1),
        Block(3, 480, 112, True, True, 1),
        Block(3, 672, 112, True, True, 1),
        Block(5, 672, 160, True, True, 2),
        Block(5, 960, 160, True, True, 1),
        Block(5, 960, 160, True, True, 1),
    ),
}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    size: Literal["small", "large"] = "small"
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies all channels


def features(config: Config) -> list[FeatureSpec]:
    """Strides 4, 8, 16 and 32; the last is the 1x1 convolution that ImageNet's classifier sees."""
    blocks = BLOCKS[config.size]
    channels = [*(scaled(blocks[level].channels, config.width) for level in _levels(blocks)), _last_channels(config)]
    return [FeatureSpec(4 << level, count) for level, count in enumerate(channels)]


def build(x: nn.Variable, ops: Ops, config: Config) -> list[nn.Variable]:
    """The features of image x, finest first."""
    blocks, outputs = BLOCKS[config.size], []
    with ops.scope("features/0"):
        x = _hard_swish(_conv_bn(x, ops, scaled(STEM_CHANNELS, config.width), 3, stride=2), ops)
    for index, block in enumerate(blocks):
        with ops.scope(f"features/{index + 1}/block"):
            x = _block(x, ops, block, config.width)
        if index in _levels(blocks):
            outputs.append(x)
    with ops.scope(f"features/{len(blocks) + 1}"):
        outputs.append(_hard_swish(_conv_bn(x, ops, _last_channels(config), 1), ops))
    return outputs


def _levels(blocks: tuple[Block, ...]) -> list[int]:
    """The last blocks of strides 4, 8 and 16: those before the next halving."""
    before_halving = [index - 1 for index, block in enumerate(blocks) if block.stride == 2 and index]
    return before_halving[-3:]


def _last_channels(config: Config) -> int:
    return LAST_EXPANSION * scaled(BLOCKS[config.size][-1].channels, config.width)


def _block(x: nn.Variable, ops: Ops, block: Block, width: float) -> nn.Variable:
    """An inverted residual (figure 4); each of its steps is a module, counted from 0."""
    channels, expanded = scaled(block.channels, width), scaled(block.expanded, width)

    def activated(y: nn.Variable) -> nn.Variable:
        return _hard_swish(y, ops) if block.is_hard_swish else ops.relu(y)

    y, module = x, 0
    if expanded != ops.channels(x):
        with ops.scope("0"):
            y = activated(_conv_bn(y, ops, expanded, 1))
        module = 1
    with ops.scope(f"{module}"):
        y = activated(_conv_bn(y, ops, expanded, block.kernel, stride=block.stride, group=expanded))
    if block.squeezes:
        module += 1
        with ops.scope(f"{module}"):
            y = _excited(y, ops)
    with ops.scope(f"{module + 1}"):
        y = _conv_bn(y, ops, channels, 1)
    return ops.add(x, y) if block.stride == 1 and ops.channels(x) == channels else y


def _excited(x: nn.Variable, ops: Ops) -> nn.Variable:
    """Squeeze-and-excitation: every channel times a factor in [0, 1] that depends on the means of all channels."""
    mean = F.mean(x, axis=(1, 2) if ops.channel_last else (2, 3), keepdims=True)
    with ops.scope("fc1"):
        factor = ops.relu(ops.convolution(mean, _squeezed(ops.channels(x)), 1, initial=fan_out_normal, bias=0.0))
    with ops.scope("fc2"):
        factor = ops.convolution(factor, ops.channels(x), 1, initial=fan_out_normal, bias=0.0)
    return x * (ops.relu6(factor + 3) * (1 / 6))


def _squeezed(channels: int) -> int:
    """A quarter, rounded to a multiple of 8 that is not more than a tenth below."""
    wanted = channels // SQUEEZE
    rounded = max(CHANNEL_MULTIPLE, (wanted + CHANNEL_MULTIPLE // 2) // CHANNEL_MULTIPLE * CHANNEL_MULTIPLE)
    return rounded if 10 * rounded >= 9 * wanted else rounded + CHANNEL_MULTIPLE


def _hard_swish(x: nn.Variable, ops: Ops) -> nn.Variable:
    """x * relu6(x + 3) / 6 (section 5.2)."""
    return x * ops.relu6(x + 3) * (1 / 6)


def _conv_bn(x: nn.Variable, ops: Ops, channels: int, kernel: int, *, stride: int = 1, group: int = 1) -> nn.Variable:
    with ops.scope("0"):
        x = ops.convolution(x, channels, kernel, stride=stride, group=group, initial=fan_out_normal)
    with ops.scope("1"):
        return ops.batch_norm(x, epsilon=BATCH_NORM_EPSILON, decay=BATCH_NORM_DECAY)
