"""ResNeXt-50 32x4d and 101 32x8d (Xie et al. 2016, arXiv:1611.05431, table 1) with the names of `resnet`'s parameters."""

from __future__ import annotations

from typing import Annotated, Literal

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.backbones import resnet
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec

CARDINALITY = 32  # groups of every 3x3 convolution
GROUP_CHANNELS = {50: 4, 101: 8}  # channels of a group in the first stage

torch_module = resnet.torch_module


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    num_layers: Literal[50, 101] = 50
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies all channels; there are always 32 groups


def features(config: Config) -> list[FeatureSpec]:
    """The four stages, strides 4, 8, 16 and 32."""
    return resnet.stage_features(config.width, expansion=resnet.EXPANSION)


def build(x: nn.Variable, ops: Ops, config: Config) -> list[nn.Variable]:
    """The outputs of the four stages of image x, finest first."""
    first_hidden = resnet.HIDDEN_CHANNELS[0]

    def block(x: nn.Variable, ops: Ops, *, hidden: int, stride: int) -> nn.Variable:
        group_channels = max(1, hidden * GROUP_CHANNELS[config.num_layers] // first_hidden)
        return resnet.bottleneck(x, ops, hidden=hidden, stride=stride, inner=CARDINALITY * group_channels, group=CARDINALITY)

    return resnet.build_stages(x, ops, block, counts=resnet.BLOCKS[config.num_layers], width=config.width)
