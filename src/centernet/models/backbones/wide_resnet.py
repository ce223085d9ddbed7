"""Wide ResNet-50-2 and 101-2: ResNets whose 3x3 convolutions are twice as wide (Zagoruyko and Komodakis 2016, arXiv:1605.07146).

Section 3, table 8 for ImageNet. The parameters have the names of `resnet`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.backbones import resnet
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec

WIDENING = 2  # channels inside a bottleneck, for each of ResNet's

torch_module = resnet.torch_module


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    num_layers: Literal[50, 101] = 50
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies all channels


def features(config: Config) -> list[FeatureSpec]:
    """The four stages, strides 4, 8, 16 and 32, as many channels as ResNet's."""
    return resnet.stage_features(config.width, expansion=resnet.EXPANSION)


def build(x: nn.Variable, ops: Ops, config: Config) -> list[nn.Variable]:
    """The outputs of the four stages of image x, finest first."""
    return resnet.build_stages(x, ops, _block, counts=resnet.BLOCKS[config.num_layers], width=config.width)


def _block(x: nn.Variable, ops: Ops, *, hidden: int, stride: int) -> nn.Variable:
    return resnet.bottleneck(x, ops, hidden=hidden, stride=stride, inner=WIDENING * hidden)
