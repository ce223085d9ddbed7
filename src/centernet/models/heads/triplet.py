"""Heads of keypoint triplets: outputs for both corners behind corner pooling, for the centre behind centre pooling (arXiv:1904.08189).

Which keypoint an output is of is told by the beginning of its scope: `tl_`, `br_` or `ct_`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.corner_pool import BOTTOM_RIGHT, TOP_LEFT, Side, cross_maximum, swept_maximum
from centernet.models.heads import conv
from centernet.models.initial import fan_in_uniform
from centernet.models.ops import Ops
from centernet.models.specs import HeadSpec, scaled

KEYPOINTS: dict[str, Side | None] = {"tl": TOP_LEFT, "br": BOTTOM_RIGHT, "ct": None}

Positive = Annotated[int, Field(gt=0)]
Layer = Callable[[str], str]  # the scope of a layer


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    hidden_channels: Positive = 256  # between the two layers of an output
    pooled_channels: Positive = 128  # of the maps that are pooled
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies both


def check_heads(heads: Mapping[str, HeadSpec]) -> None:
    """ValueError where an output is of no keypoint that there is a pooling for."""
    strange = [spec.scope for spec in heads.values() if _keypoint(spec) not in KEYPOINTS]
    if strange:
        expected = ", ".join(f"{keypoint}_" for keypoint in KEYPOINTS)
        raise ValueError(f"pools for the outputs of a task whose names begin with {expected}; found {', '.join(strange)}")


def build(feature: nn.Variable, ops: Ops, config: Config, heads: Mapping[str, HeadSpec]) -> dict[str, nn.Variable]:
    """The raw output maps (logits for a heatmap), in the order and under the names of `heads`."""
    pooled, hidden = {}, scaled(config.hidden_channels, config.width)
    for keypoint, side in KEYPOINTS.items():
        first = next((spec for spec in heads.values() if _keypoint(spec) == keypoint), None)
        if first is not None:
            layer = replace(first, scope=f"{keypoint}_cnvs").layer
            pooled[keypoint] = _pooled(feature, ops, side, layer, scaled(config.pooled_channels, config.width))
    return {name: conv.branch(pooled[_keypoint(spec)], ops, spec, hidden=hidden, initial=fan_in_uniform) for name, spec in heads.items()}


def torch_module(scope: str, layer: str, config: Config) -> str | None:
    """What the original calls the layer, see `torch_names`; of the poolings it is what ours is called."""
    return conv.module_of(scope, has_hidden=True)


def _keypoint(spec: HeadSpec) -> str:
    return spec.scope.partition("_")[0]


def _pooled(x: nn.Variable, ops: Ops, side: Side | None, layer: Layer, channels: int) -> nn.Variable:
    """A residual block around the pooling of one keypoint (section 3.3, figure 5); as many channels as x has."""
    pooled = _centers(x, ops, layer, channels) if side is None else _corners(x, ops, side, layer, channels)
    outer = ops.channels(x)
    y = ops.conv_bn(pooled, outer, 3, initial=fan_in_uniform, relu=False, names=(layer("p_conv1"), layer("p_bn1")))
    x = ops.conv_bn(x, outer, 1, initial=fan_in_uniform, relu=False, names=(layer("conv1"), layer("bn1")))
    return _layer(ops.add_relu(y, x), ops, layer("conv2"), outer)


def _centers(x: nn.Variable, ops: Ops, layer: Layer, channels: int) -> nn.Variable:
    """What is largest in a cell's column and in its row."""
    columns, rows = (_layer(x, ops, layer(name), channels) for name in ("p1_conv1", "p2_conv1"))
    return cross_maximum(rows, columns, ops)


def _corners(x: nn.Variable, ops: Ops, side: Side, layer: Layer, channels: int) -> nn.Variable:
    """Cascade corner pooling: along an edge of a box for its corner, having looked into the box for the edge itself."""
    vertical, horizontal = side
    parts = []
    for number, along, inwards in ((1, vertical, horizontal), (2, horizontal, vertical)):
        edge = _layer(x, ops, layer(f"p{number}_conv1"), channels)
        inside = swept_maximum(_layer(x, ops, layer(f"look_conv{number}"), channels), ops, inwards)
        with ops.scope(layer(f"P{number}_look_conv")):
            looked = ops.convolution(ops.add(edge, inside), channels, 3, initial=fan_in_uniform)
        parts.append(swept_maximum(looked, ops, along))
    return ops.add(*parts)


def _layer(x: nn.Variable, ops: Ops, scope: str, channels: int) -> nn.Variable:
    with ops.scope(scope):
        return ops.conv_bn(x, channels, 3, initial=fan_in_uniform, names=("conv", "bn"))
