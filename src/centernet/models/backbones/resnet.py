"""ResNet 18 to 152 (He et al. 2015, arXiv:1512.03385, table 1) with the predecessor's parameter names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.initial import fan_out_normal
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, scaled

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STEM_CHANNELS = 64
HIDDEN_CHANNELS = (64, 128, 256, 512)  # of the 3x3 convolutions, per stage
EXPANSION = 4  # channels a bottleneck gives out per hidden one
BLOCK_SCOPE = re.compile(r"res(\d)/layer(\d+)/(?:basicblock|bottleneck)(?:(\d)|_s/shortcut_conv)")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    num_layers: Literal[18, 34, 50, 101, 152] = 18
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies all channels


class Block(Protocol):
    """A residual block; `hidden` is what the width of its stage is called, `stride` that of the block."""

    def __call__(self, x: nn.Variable, ops: Ops, *, hidden: int, stride: int) -> nn.Variable: ...


def features(config: Config) -> list[FeatureSpec]:
    """The four stages, strides 4, 8, 16 and 32."""
    return stage_features(config.width, expansion=EXPANSION if _is_bottleneck(config) else 1)


def pretrained_name(config: Config) -> str:
    """What published ImageNet files of this backbone are called."""
    return f"resnet{config.num_layers}"


def build(x: nn.Variable, ops: Ops, config: Config) -> list[nn.Variable]:
    """The outputs of the four stages of image x, finest first."""
    block = bottleneck if _is_bottleneck(config) else _basic_block
    return build_stages(x, ops, block, counts=BLOCKS[config.num_layers], width=config.width)


def stage_features(width: float, *, expansion: int) -> list[FeatureSpec]:
    """What `build_stages` gives out with blocks that give out `expansion` channels per hidden one."""
    return [FeatureSpec(4 << stage, expansion * scaled(hidden, width)) for stage, hidden in enumerate(HIDDEN_CHANNELS)]


def build_stages(x: nn.Variable, ops: Ops, block: Block, *, counts: Sequence[int], width: float) -> list[nn.Variable]:
    """The stem and four stages of `counts` blocks; their outputs, finest first."""
    with ops.scope("conv1"):
        x = ops.conv_bn(x, scaled(STEM_CHANNELS, width), 7, stride=2, initial=fan_out_normal)
    x = ops.max_pool(x, 3, stride=2, pad=1)
    outputs = []
    for stage, (count, hidden) in enumerate(zip(counts, HIDDEN_CHANNELS, strict=True)):
        with ops.scope(f"res{stage + 1}"):
            x = _stage(x, ops, block, count=count, hidden=scaled(hidden, width), stride=1 if stage == 0 else 2)
        outputs.append(x)
    return outputs


def bottleneck(x: nn.Variable, ops: Ops, *, hidden: int, stride: int, inner: int | None = None, group: int = 1) -> nn.Variable:
    """1x1, 3x3 with the stride, 1x1 to `EXPANSION * hidden` channels.

    inner: channels of the first two convolutions, default `hidden`. group: of the 3x3 convolution, as in `Ops.convolution`.
    """
    inner = hidden if inner is None else inner
    with ops.scope("bottleneck1"):
        y = ops.conv_bn(x, inner, 1, initial=fan_out_normal)
    with ops.scope("bottleneck2"):
        y = ops.conv_bn(y, inner, 3, stride=stride, group=group, initial=fan_out_normal)
    with ops.scope("bottleneck3"):
        y = ops.conv_bn(y, hidden * EXPANSION, 1, initial=fan_out_normal, relu=False)
    return ops.add_relu(y, _shortcut(x, ops, "bottleneck_s", hidden * EXPANSION, stride=stride))


def torch_module(scope: str, layer: str, config: Config) -> str | None:
    """What torchvision calls the layer, see `torch_names`; None for a scope of another part of the network."""
    if scope == "conv1":
        return f"{layer}1"
    match = BLOCK_SCOPE.fullmatch(scope)
    if match is None:
        return None
    stage, block, number = match.groups()
    inside = f"{layer}{number}" if number else f"downsample.{('conv', 'bn').index(layer)}"
    return f"layer{stage}.{int(block) - 1}.{inside}"


def _is_bottleneck(config: Config) -> bool:
    return config.num_layers >= 50


def _stage(x: nn.Variable, ops: Ops, block: Block, *, count: int, hidden: int, stride: int) -> nn.Variable:
    for layer in range(count):
        with ops.scope(f"layer{layer + 1}"):
            x = block(x, ops, hidden=hidden, stride=stride if layer == 0 else 1)
    return x


def _basic_block(x: nn.Variable, ops: Ops, *, hidden: int, stride: int) -> nn.Variable:
    with ops.scope("basicblock1"):
        y = ops.conv_bn(x, hidden, 3, stride=stride, initial=fan_out_normal)
    with ops.scope("basicblock2"):
        y = ops.conv_bn(y, hidden, 3, initial=fan_out_normal, relu=False)
    return ops.add_relu(y, _shortcut(x, ops, "basicblock_s", hidden, stride=stride))


def _shortcut(x: nn.Variable, ops: Ops, scope: str, channels: int, *, stride: int) -> nn.Variable:
    """x itself, or projected where its shape changes; made after the block's own layers, which fixes the order in files."""
    if ops.channels(x) == channels and stride == 1:
        return x
    with ops.scope(f"{scope}/shortcut_conv"):
        return ops.conv_bn(x, channels, 1, stride=stride, initial=fan_out_normal, relu=False)
