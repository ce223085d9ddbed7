"""The configuration of the detection task; the numbers are those of the published models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT

Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """`max_objects`: only that many of an image's objects become targets. `radius`: how far a peak's Gaussian reaches,
    'cornernet' as the published models were trained, 'corrected' the root of the same equation without its slip.
    `min_overlap`: the IoU a box keeps when its corners move by the radius."""

    max_objects: Annotated[int, Field(ge=1)] = 128
    heatmap_weight: Weight = 1.0
    size_weight: Weight = 0.1
    offset_weight: Weight = 1.0
    radius: Literal["cornernet", "corrected"] = "cornernet"
    min_overlap: Annotated[float, Field(gt=0, lt=1)] = 0.7
