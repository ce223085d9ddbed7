"""Nothing between backbone and heads: the finest feature as it is, for backbones that enlarge by themselves."""

from __future__ import annotations

import nnabla as nn
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """Nothing to choose."""


def features(config: Config, inputs: list[FeatureSpec]) -> FeatureSpec:
    """The finest level."""
    return inputs[0]


def build(features: list[nn.Variable], ops: Ops, config: Config) -> nn.Variable:
    """The finest level."""
    return features[0]
