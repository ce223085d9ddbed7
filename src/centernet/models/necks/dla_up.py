"""CenterNet's decoder for DLA: hierarchical, then iterative aggregation by sums (Zhou et al. 2019, arXiv:1904.07850, figure 6d)."""

from __future__ import annotations

import nnabla as nn
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.aggregation import check_doubling, hierarchical, iterative
from centernet.models.deformable import deformable_convolution
from centernet.models.initial import fan_in_uniform
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """The channels are those of the levels.

    deformable: convolutions look where others tell them to, as in the paper; else they are plain ones, of the same shapes.
    """

    deformable: bool = True


def features(config: Config, inputs: list[FeatureSpec]) -> FeatureSpec:
    """The finest level.

    Raises:
        ValueError: the inputs are not two or more levels, each of twice the stride of the one before.
    """
    check_doubling(inputs)
    return inputs[0]


def build(features: list[nn.Variable], ops: Ops, config: Config) -> nn.Variable:
    """The coarsest level takes part in the first aggregation only."""

    def unit(x: nn.Variable, channels: int) -> nn.Variable:
        return _unit(x, ops, channels, is_deformable=config.deformable)

    def join(finer: nn.Variable, coarser: nn.Variable) -> nn.Variable:
        return unit(coarser + finer, ops.channels(finer))

    with ops.scope("dla_up"):
        maps = hierarchical(features, ops, project=unit, join=join)[:-1]
    with ops.scope("ida_up"):
        return iterative(maps, ops, factors=[1 << level for level in range(1, len(maps))], project=unit, join=join)[-1]


def _unit(x: nn.Variable, ops: Ops, channels: int, *, is_deformable: bool) -> nn.Variable:
    with ops.scope("conv"):
        if is_deformable:
            x = deformable_convolution(x, ops, channels, initial=fan_in_uniform)
        else:
            x = ops.convolution(x, channels, 3, initial=fan_in_uniform, bias=0.0)
    with ops.scope("actf/0"):
        return ops.relu(ops.batch_norm(x))
