"""The official system's decoder of `dlav0_34`: hierarchical aggregation by concatenation (arXiv:1707.06484, section 3.2)."""

from __future__ import annotations

import nnabla as nn
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.aggregation import check_doubling, hierarchical
from centernet.models.initial import fan_out_normal
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """Nothing to choose: the channels are those of the levels."""


def features(config: Config, inputs: list[FeatureSpec]) -> FeatureSpec:
    """The finest level.

    Raises:
        ValueError: the inputs are not two or more levels, each of twice the stride of the one before.
    """
    check_doubling(inputs)
    return inputs[0]


def build(features: list[nn.Variable], ops: Ops, config: Config) -> nn.Variable:
    """The finest map once every level has been joined to it."""

    def project(x: nn.Variable, channels: int) -> nn.Variable:
        return x if ops.channels(x) == channels else _unit(x, ops, channels, kernel=1)

    def join(finer: nn.Variable, coarser: nn.Variable) -> nn.Variable:
        return _unit(ops.concatenate(finer, coarser), ops, ops.channels(finer), kernel=3)

    with ops.scope("dla_up"):
        return hierarchical(features, ops, project=project, join=join)[0]


def _unit(x: nn.Variable, ops: Ops, channels: int, *, kernel: int) -> nn.Variable:
    with ops.scope("0"):
        x = ops.convolution(x, channels, kernel, initial=fan_out_normal)
    with ops.scope("1"):
        return ops.relu(ops.batch_norm(x))
