"""Feature pyramid (Lin et al. 2016, Feature Pyramid Networks, arXiv:1612.03144, figure 3) of which the finest level is used.

Unlike the paper's, its convolutions are followed by batch norm, as everything here is that is trained on whole batches.
"""

from __future__ import annotations

from typing import Annotated

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.aggregation import like_finest
from centernet.models.initial import fan_out_normal
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, scaled


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    channels: Annotated[int, Field(gt=0)] = 256
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies the channels


def features(config: Config, inputs: list[FeatureSpec]) -> FeatureSpec:
    """As fine as the finest input.

    Raises:
        ValueError: the inputs are not two or more levels, each of twice the stride of the one before.
    """
    return like_finest(inputs, scaled(config.channels, config.width))


def build(features: list[nn.Variable], ops: Ops, config: Config) -> nn.Variable:
    """From the coarsest level on: twice the size, plus the next finer level; one 3x3 convolution at the end."""
    channels = scaled(config.channels, config.width)
    laterals = []
    for level, x in enumerate(features):
        with ops.scope(f"lateral_{level}"):
            laterals.append(ops.conv_bn(x, channels, 1, initial=fan_out_normal, relu=False))
    x = laterals[-1]
    for lateral in reversed(laterals[:-1]):
        x = ops.add(lateral, ops.enlarge(x))
    with ops.scope("output"):
        return ops.conv_bn(x, channels, 3, initial=fan_out_normal)
