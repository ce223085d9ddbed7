"""Iterative deep aggregation (Yu et al. 2018, arXiv:1707.06484, section 3.1) of any backbone's levels to the finest one."""

from __future__ import annotations

from typing import Annotated

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.aggregation import iterative, like_finest
from centernet.models.initial import fan_out_normal
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, scaled


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    channels: Annotated[int, Field(gt=0)] = 64
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies the channels


def features(config: Config, inputs: list[FeatureSpec]) -> FeatureSpec:
    """As fine as the finest input.

    Raises:
        ValueError: the inputs are not two or more levels, each of twice the stride of the one before.
    """
    return like_finest(inputs, scaled(config.channels, config.width))


def build(features: list[nn.Variable], ops: Ops, config: Config) -> nn.Variable:
    """Every level gets the same channels and the size of the finest, and is added to those before it."""

    def project(x: nn.Variable, channels: int) -> nn.Variable:
        return ops.conv_bn(x, channels, 1, initial=fan_out_normal)

    def join(finer: nn.Variable, coarser: nn.Variable) -> nn.Variable:
        return ops.conv_bn(ops.add(finer, coarser), ops.channels(finer), 3, initial=fan_out_normal)

    with ops.scope("proj_0"):
        finest = project(features[0], scaled(config.channels, config.width))
    factors = [1 << level for level in range(1, len(features))]
    return iterative([finest, *features[1:]], ops, factors=factors, project=project, join=join)[-1]
