"""One branch per output map: 3x3 convolution, ReLU, 1x1 convolution (Zhou et al. 2019, arXiv:1904.07850, section 6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.initial import Initial, fan_in_uniform, normal
from centernet.models.ops import Ops
from centernet.models.specs import HeadSpec, scaled

INITIAL = {"heatmap": fan_in_uniform, "regression": normal(0.001)}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    hidden_channels: Annotated[int, Field(ge=0)] = 64  # published DLA files have 256; 0: the 1x1 convolution alone
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies the hidden channels


def build(feature: nn.Variable, ops: Ops, config: Config, heads: Mapping[str, HeadSpec]) -> dict[str, nn.Variable]:
    """The raw output maps (logits for a heatmap), in the order and under the names of `heads`."""
    hidden = scaled(config.hidden_channels, config.width) if config.hidden_channels else 0
    return {name: branch(feature, ops, spec, hidden=hidden, initial=INITIAL[spec.kind]) for name, spec in heads.items()}


def torch_module(scope: str, layer: str, config: Config) -> str | None:
    """What the official system calls the layer, see `torch_names`."""
    return module_of(scope, has_hidden=config.hidden_channels > 0)


def module_of(scope: str, *, has_hidden: bool) -> str | None:
    """The original's module of a layer that `branch` made in this scope; None where it made none such.

    Modules 0 and 2 of a head, or the head itself where it has no hidden layer; 0.conv and 1 of each stack's.
    """
    one = re.fullmatch(r"(\w+)_(conv1|final)", scope)
    if one and not has_hidden:
        return one[1]
    if one:
        return f"{one[1]}.{'0' if one[2] == 'conv1' else '2'}"
    stacked = re.fullmatch(r"(\w+)/(\d+)/(conv1|final)", scope)
    if stacked is None:
        return None
    return f"{stacked[1]}.{stacked[2]}.{'0.conv' if stacked[3] == 'conv1' else '1'}"


def branch(x: nn.Variable, ops: Ops, spec: HeadSpec, *, hidden: int, initial: Initial) -> nn.Variable:
    """One raw output map. hidden: channels between the two layers; 0: there is one layer alone."""
    if hidden:
        with ops.scope(spec.layer("conv1")):
            # Bias 0, as in the paper's code: the predecessor's -2.19 before a ReLU starts with dead units.
            x = ops.relu(ops.convolution(x, hidden, 3, initial=initial, bias=0.0))
    with ops.scope(spec.layer("final")):
        return ops.convolution(x, spec.channels, 1, initial=initial, bias=spec.bias)
