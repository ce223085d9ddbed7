"""The configuration of the triplet task; the numbers are those of the published models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.geometry.nms import SoftNms

Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """`max_objects`: only that many of an image's objects become targets.

    pull_weight, push_weight: of the embeddings, by which a box's corners find each other. radius: how far a peak's Gaussian
    reaches: 'cornernet_fixed' as the weights with the published numbers were trained, 'cornernet' the original's root of the same
    equation. min_overlap: the IoU a box keeps when its corners move by the radius.
    corners: so many of the best cells of each heatmap are looked at. ae_threshold: corners whose embeddings differ by more are no
    pair. soft_nms: how overlapping boxes of a class are suppressed. corner_power: a box's corners become the mean of its own and of
    those it suppresses, as the published test moves them, each weighted with its score and with its overlap to this power; null:
    they stay.
    """

    max_objects: Annotated[int, Field(ge=1)] = 128
    heatmap_weight: Weight = 1.0
    pull_weight: Weight = 0.1
    push_weight: Weight = 0.1
    offset_weight: Weight = 1.0
    radius: Literal["cornernet", "cornernet_fixed"] = "cornernet_fixed"
    min_overlap: Annotated[float, Field(gt=0, lt=1)] = 0.7
    corners: Annotated[int, Field(ge=1)] = 70
    ae_threshold: Annotated[float, Field(gt=0)] = 0.5
    soft_nms: SoftNms = SoftNms()
    corner_power: Weight | None = 10.0
