"""Weighted pyramid both ways (Tan et al. 2019, EfficientDet, arXiv:1911.09070, section 3) of which the finest level is used.

Unlike the paper's, its levels are only those of the backbone, and every level is brought to the pyramid's channels once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import nnabla as nn
import nnabla.functions as F
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.aggregation import like_finest
from centernet.models.initial import constant, fan_out_normal
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, scaled

EPSILON = 1e-4  # keeps the sum of the weights from 0 (section 3.3)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    channels: Annotated[int, Field(gt=0)] = 64
    layers: Annotated[int, Field(gt=0)] = 3  # as many and as wide as EfficientDet-D0's
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies the channels


def features(config: Config, inputs: list[FeatureSpec]) -> FeatureSpec:
    """As fine as the finest input.

    Raises:
        ValueError: the inputs are not two or more levels, each of twice the stride of the one before.
    """
    return like_finest(inputs, scaled(config.channels, config.width))


def build(features: list[nn.Variable], ops: Ops, config: Config) -> nn.Variable:
    """Layers of a way to the finest level and one back; after the last way to it nothing would see the way back."""
    levels = []
    for level, x in enumerate(features):
        with ops.scope(f"input_{level}"):
            levels.append(ops.conv_bn(x, scaled(config.channels, config.width), 1, initial=fan_out_normal, relu=False))
    for layer in range(config.layers - 1):
        with ops.scope(f"layer_{layer}"):
            levels = _to_coarsest(levels, _to_finest(levels, ops), ops)
    with ops.scope(f"layer_{config.layers - 1}"):
        return _to_finest(levels, ops)[0]


def _to_finest(levels: Sequence[nn.Variable], ops: Ops) -> list[nn.Variable]:
    """Each level with what came from the coarser ones; the coarsest is as it was."""
    results = [levels[-1]]
    for level in reversed(range(len(levels) - 1)):
        with ops.scope(f"finer_{level}"):
            results.insert(0, _node(ops, levels[level], ops.enlarge(results[0])))
    return results


def _to_coarsest(levels: Sequence[nn.Variable], finer: Sequence[nn.Variable], ops: Ops) -> list[nn.Variable]:
    """Each level with its result `finer` of the way before and what came from the finer ones; the finest is that result."""
    results = [finer[0]]
    for level in range(1, len(levels)):
        # On the coarsest level the way before changed nothing.
        own = [levels[level]] if level == len(levels) - 1 else [levels[level], finer[level]]
        with ops.scope(f"coarser_{level}"):
            results.append(_node(ops, *own, ops.max_pool(results[-1], 3, stride=2, pad=1)))
    return results


def _node(ops: Ops, *inputs: nn.Variable) -> nn.Variable:
    """Maps of one shape into one: their weighted mean, swish, a depthwise separable 3x3 convolution, batch norm."""
    weights = [F.relu(ops.parameter(f"weight_{number}", (1, 1, 1, 1), constant(1))) for number in range(len(inputs))]
    total = sum(weights[1:], start=weights[0]) + EPSILON
    terms = [x * (weight / total) for x, weight in zip(inputs, weights, strict=True)]
    x = sum(terms[1:], start=terms[0])
    x = x * F.sigmoid(x)
    channels = ops.channels(x)
    with ops.scope("depthwise"):
        x = ops.convolution(x, channels, 3, group=channels, initial=fan_out_normal)
    with ops.scope("pointwise"):
        return ops.conv_bn(x, channels, 1, initial=fan_out_normal, relu=False)
