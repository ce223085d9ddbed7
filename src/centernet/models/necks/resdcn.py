"""A deformable and a transposed convolution, three times, on the coarsest feature (Zhou et al. 2019, arXiv:1904.07850, figure 6c)."""

from __future__ import annotations

from typing import Annotated

import nnabla as nn
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.deformable import deformable_convolution
from centernet.models.initial import fan_in_uniform
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, scaled

LAYERS = 6  # that the original counts per enlargement


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    channels: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)] = (256, 128, 64)  # of each enlargement, 2x
    width: Annotated[float, Field(gt=0)] = 1.0  # multiplies all channels


def features(config: Config, inputs: list[FeatureSpec]) -> FeatureSpec:
    """Each enlargement halves the stride of the coarsest input.

    Raises:
        ValueError: more of them than there are halvings.
    """
    stride, rest = divmod(inputs[-1].stride, 2 ** len(config.channels))
    if rest:
        raise ValueError(f"{len(config.channels)} enlargements by 2 are too many for a feature of stride {inputs[-1].stride}")
    return FeatureSpec(stride, scaled(config.channels[-1], config.width))


def build(features: list[nn.Variable], ops: Ops, config: Config) -> nn.Variable:
    """Only the last, coarsest feature is used."""
    x = features[-1]
    for step, channels in enumerate(config.channels):
        channels, first = scaled(channels, config.width), LAYERS * step
        with ops.scope(f"deconv_layers/{first}"):
            x = deformable_convolution(x, ops, channels, initial=fan_in_uniform)
        with ops.scope(f"deconv_layers/{first + 1}"):
            x = ops.relu(ops.batch_norm(x))
        with ops.scope(f"deconv_layers/{first + 3}"):
            # The original means bilinear kernels here, but writes them to the first output channel only.
            x = ops.deconvolution(x, channels, initial=fan_in_uniform)
        with ops.scope(f"deconv_layers/{first + 4}"):
            x = ops.relu(ops.batch_norm(x))
    return x
