"""Stacked hourglasses (Newell et al. 2016, arXiv:1603.06937) as CornerNet made them (Law and Deng 2018, arXiv:1808.01244, section 3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.initial import fan_in_uniform
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, InputSizes, scaled

STACKS = {52: 1, 104: 2}
STEM_CHANNELS = 128
CHANNELS = {"full": (256, 256, 384, 384, 384, 512), "tiny": (256, 128, 256, 256, 256, 384)}  # at strides 4 to 128
BLOCKS = (2, 2, 2, 2, 2, 4)  # residual blocks in a row, at the same strides
STRIDE = 4


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    num_layers: Literal[52, 104] = 104
    size: Literal["full", "tiny"] = "full"  # how many channels there are inside
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies all channels


def features(config: Config) -> list[FeatureSpec]:
    """Of each stack one feature of stride 4."""
    return [FeatureSpec(STRIDE, scaled(CHANNELS[config.size][0], config.width))]


def stacks(config: Config) -> int:
    """How many hourglasses follow each other; each gives its features, and the last the best."""
    return STACKS[config.num_layers]


def input_sizes(config: Config) -> InputSizes:
    """Five halvings and their enlargements must meet; an odd side, as CornerNet's 511, is rounded up by the first halving."""
    return InputSizes(STRIDE << (len(CHANNELS[config.size]) - 1), or_one_less=True)


def build(x: nn.Variable, ops: Ops, config: Config) -> list[list[nn.Variable]]:
    """The features of image x, stack by stack."""
    channels = [scaled(count, config.width) for count in CHANNELS[config.size]]
    with ops.scope("pre/0"):
        x = _conv_bn(x, ops, scaled(STEM_CHANNELS, config.width), 7, names=("conv", "bn"), stride=2, relu=True)
    with ops.scope("pre/1"):
        x = _residual(x, ops, channels[0], stride=2)
    outputs: list[list[nn.Variable]] = []
    for stack in range(stacks(config)):
        if stack:
            x = _between(x, outputs[-1][0], ops, channels[0], stack=stack - 1)
        with ops.scope(f"kps/{stack}"):
            y = _hourglass(x, ops, channels, BLOCKS)
        with ops.scope(f"cnvs/{stack}"):
            outputs.append([_conv_bn(y, ops, channels[0], 3, names=("conv", "bn"), relu=True)])
    return outputs


def _between(x: nn.Variable, output: nn.Variable, ops: Ops, channels: int, *, stack: int) -> nn.Variable:
    """What the next stack sees: the stack's own input and its output."""
    with ops.scope(f"inters_/{stack}"):
        x = _conv_bn(x, ops, channels, 1, names=("0", "1"))
    with ops.scope(f"cnvs_/{stack}"):
        x = ops.add_relu(x, _conv_bn(output, ops, channels, 1, names=("0", "1")))
    with ops.scope(f"inters/{stack}"):
        return _residual(x, ops, channels)


def _hourglass(x: nn.Variable, ops: Ops, channels: Sequence[int], blocks: Sequence[int]) -> nn.Variable:
    """The first entries are this resolution's; the others those of the halves inside."""
    here, below, count = channels[0], channels[1], blocks[0]
    with ops.scope("up1"):
        upper = _residuals(x, ops, [here] * count)
    with ops.scope("low1"):
        lower = _residuals(x, ops, [below] * count, stride=2)
    with ops.scope("low2"):
        innermost = len(channels) == 2
        lower = _residuals(lower, ops, [below] * blocks[1]) if innermost else _hourglass(lower, ops, channels[1:], blocks[1:])
    with ops.scope("low3"):
        lower = _residuals(lower, ops, [below] * (count - 1) + [here])
    return upper + ops.enlarge(lower)


def _residuals(x: nn.Variable, ops: Ops, channels: Sequence[int], *, stride: int = 1) -> nn.Variable:
    """Blocks one after the other; the first has the stride."""
    for block, count in enumerate(channels):
        with ops.scope(str(block)):
            x = _residual(x, ops, count, stride=1 if block else stride)
    return x


def _residual(x: nn.Variable, ops: Ops, channels: int, *, stride: int = 1) -> nn.Variable:
    y = _conv_bn(x, ops, channels, 3, names=("conv1", "bn1"), stride=stride, relu=True)
    y = _conv_bn(y, ops, channels, 3, names=("conv2", "bn2"))
    if stride > 1 or ops.channels(x) != channels:
        with ops.scope("skip"):
            x = _conv_bn(x, ops, channels, 1, names=("0", "1"), stride=stride)
    return ops.add_relu(y, x)


def _conv_bn(
    x: nn.Variable, ops: Ops, channels: int, kernel: int, *, names: tuple[str, str], stride: int = 1, relu: bool = False
) -> nn.Variable:
    return ops.conv_bn(x, channels, kernel, stride=stride, initial=fan_in_uniform, relu=relu, names=names)
