"""A backbone: four strided convolutions."""

from __future__ import annotations

from typing import Annotated

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.initial import fan_out_normal
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec

STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    channels: Annotated[int, Field(gt=0)] = 8  # at stride 4; twice as many at each further one


def features(config: Config) -> list[FeatureSpec]:
    """Strides and channels, finest first."""
    return [FeatureSpec(stride, config.channels << level) for level, stride in enumerate(STRIDES)]


def build(x: nn.Variable, ops: Ops, config: Config) -> list[nn.Variable]:
    """The features of image x."""
    with ops.scope("stem"):
        x = ops.conv_bn(x, config.channels, 3, stride=2, initial=fan_out_normal)
    outputs = []
    for level in range(len(STRIDES)):
        with ops.scope(f"level{level + 1}"):
            x = ops.conv_bn(x, config.channels << level, 3, stride=2, initial=fan_out_normal)
        outputs.append(x)
    return outputs
