"""No neck: for backbones whose one feature is what the heads are to see."""

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
    """The only input.

    Raises:
        ValueError: there are several, of which all but one would be trained for nothing.
    """
    if len(inputs) != 1:
        strides = [level.stride for level in inputs]
        raise ValueError(f"expected one feature, found {len(inputs)} of strides {strides}; choose a neck that joins them")
    return inputs[0]


def build(features: list[nn.Variable], ops: Ops, config: Config) -> nn.Variable:
    """The feature itself."""
    return features[0]
