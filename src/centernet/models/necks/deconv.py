"""Three transposed convolutions on the coarsest feature (Xiao et al. 2018, Simple Baselines, arXiv:1804.06208, section 2)."""

from __future__ import annotations

import re
from typing import Annotated

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.initial import normal
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, scaled

INITIAL_STD = 0.001
ORIGINAL_LAYERS = ("deconv", "bn", "relu")  # the modules of one enlargement, one after the other


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    channels: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)] = (256, 256, 256)  # one layer each, 2x
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies all channels


def features(config: Config, inputs: list[FeatureSpec]) -> FeatureSpec:
    """Each layer halves the stride of the coarsest input.

    Raises:
        ValueError: more layers than there are halvings.
    """
    stride, rest = divmod(inputs[-1].stride, 2 ** len(config.channels))
    if rest:
        raise ValueError(f"{len(config.channels)} layers of factor 2 are too many for a feature of stride {inputs[-1].stride}")
    return FeatureSpec(stride, scaled(config.channels[-1], config.width))


def build(features: list[nn.Variable], ops: Ops, config: Config) -> nn.Variable:
    """Only the last, coarsest feature is used."""
    x = features[-1]
    for layer, channels in enumerate(config.channels):
        with ops.scope(f"upsample{layer + 1}"):
            x = ops.deconvolution(x, scaled(channels, config.width), initial=normal(INITIAL_STD))
            x = ops.relu(ops.batch_norm(x))
    return x


def torch_module(scope: str, layer: str, config: Config) -> str | None:
    """What the official system calls the layer, see `torch_names`; None for a scope of another part of the network."""
    match = re.fullmatch(r"upsample(\d+)", scope)
    if match is None:
        return None
    return f"deconv_layers.{len(ORIGINAL_LAYERS) * (int(match[1]) - 1) + ORIGINAL_LAYERS.index(layer)}"
