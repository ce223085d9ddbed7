"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381, table 2); the scopes are the modules of torchvision's."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.initial import fan_out_normal
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, scaled

STEM_CHANNELS = 32
LAST_CHANNELS = 1280  # of the 1x1 convolution behind the blocks


class Stage(NamedTuple):
    expansion: int  # channels inside a block, for each that goes in
    channels: int
    repeats: int
    stride: int  # of the first block


STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
LEVELS = (1, 2, 4)  # stages handed on: the last of strides 4, 8 and 16; stride 32 is the last convolution's


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies all channels


def features(config: Config) -> list[FeatureSpec]:
    """Strides 4, 8, 16 and 32; the last is the 1x1 convolution that ImageNet's classifier sees."""
    channels = [*(STAGES[level].channels for level in LEVELS), LAST_CHANNELS]
    return [FeatureSpec(4 << level, scaled(count, config.width)) for level, count in enumerate(channels)]


def build(x: nn.Variable, ops: Ops, config: Config) -> list[nn.Variable]:
    """The features of image x, finest first."""
    outputs = []
    with ops.scope("features/0"):
        x = _conv_bn(x, ops, ("0", "1"), scaled(STEM_CHANNELS, config.width), 3, stride=2)
    number = 1
    for index, stage in enumerate(STAGES):
        for block in range(stage.repeats):
            with ops.scope(f"features/{number}/conv"):
                stride = stage.stride if block == 0 else 1
                x = _block(x, ops, scaled(stage.channels, config.width), expansion=stage.expansion, stride=stride)
            number += 1
        if index in LEVELS:
            outputs.append(x)
    with ops.scope(f"features/{number}"):
        outputs.append(_conv_bn(x, ops, ("0", "1"), scaled(LAST_CHANNELS, config.width), 1))
    return outputs


def _block(x: nn.Variable, ops: Ops, channels: int, *, expansion: int, stride: int) -> nn.Variable:
    """An inverted residual (figure 4d): wide inside, narrow between, and no activation where it is narrow."""
    y, modules = x, 0
    hidden = expansion * ops.channels(x)
    if expansion > 1:
        y = _conv_bn(y, ops, ("0/0", "0/1"), hidden, 1)
        modules = 1
    y = _conv_bn(y, ops, (f"{modules}/0", f"{modules}/1"), hidden, 3, stride=stride, group=hidden)
    y = _conv_bn(y, ops, (f"{modules + 1}", f"{modules + 2}"), channels, 1, activated=False)
    return ops.add(x, y) if stride == 1 and ops.channels(x) == channels else y


def _conv_bn(
    x: nn.Variable, ops: Ops, names: tuple[str, str], channels: int, kernel: int, *, stride: int = 1, group: int = 1, activated: bool = True
) -> nn.Variable:
    """Convolution and batch norm, which are modules `names` of the original, and ReLU6."""
    with ops.scope(names[0]):
        x = ops.convolution(x, channels, kernel, stride=stride, group=group, initial=fan_out_normal)
    with ops.scope(names[1]):
        x = ops.batch_norm(x)
    return ops.relu6(x) if activated else x
