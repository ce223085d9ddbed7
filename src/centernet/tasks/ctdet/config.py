"""The configuration of the detection task; the numbers are those of the published models."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.plugins import words_or_outside

Weight = Annotated[float, Field(ge=0)]
Part = Annotated[float, Field(gt=0, le=1)]

Form = Literal["size", "ltrb"]
Clip = Literal["published", "exact"]
Place = Literal["center", "3x3", "gaussian", "heatmap"]
Counting = Literal["log_area", "sqrt_area", "equal"]
HeatmapLoss = Literal["focal", "quality_focal", "mse"]
OverlapLoss = Literal["iou", "giou", "diou", "ciou"]
NumberLoss = Literal["l1", "smooth_l1"]
BoxLoss = Literal["l1", "smooth_l1", "iou", "giou", "diou", "ciou"]
RadiusRule = Literal["cornernet", "cornernet_fixed", "ttf", "fixed"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class BoxesConfig:
    """What the network says of a box, and in which cells it learns it.

    form: width, height and the centre's offset; or the distances from the cell to the left, top, right and bottom side.
    at: the centre's cell; 3x3 cells around it; gaussian: an ellipse `beta` of the way to the sides, of which its
    Gaussian says how much a cell counts (TTFNet); heatmap: weighted by the heatmap, sizes only (`--dense_wh`).
    weight: how much an object counts with gaussian: the logarithm or the root of its area in pixels, or all alike.
    per_class: a size of its own for each class (`--cat_spec_wh`).
    clip: published: boxes end at most at the beginning of the last column and row of cells, so one at the right or bottom edge of the
    image is up to a cell too small; exact: at the image's edge.
    """

    form: Form = "size"
    at: Place = "center"
    beta: Part = 0.54
    weight: Counting = "log_area"
    per_class: bool = False
    clip: Clip = "published"

    def __post_init__(self) -> None:
        if self.per_class and self.form == "ltrb":
            raise ValueError("per_class: is for sizes, expected form: size, found ltrb")
        if self.per_class and self.at != "center":
            raise ValueError(f"per_class: is trained at the centres, expected at: center, found {self.at}")
        if self.weight != "log_area" and self.at != "gaussian":
            raise ValueError(f"weight: {self.weight} is for regions, expected at: gaussian, found {self.at}")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossConfig:
    """heatmap: penalty-reduced focal loss, quality focal loss, or squared errors of the probabilities (`--mse_loss`).

    boxes: of sizes or distances, or one minus the overlap of decoded boxes. offset: of offsets. relative_size: errors as parts of
    the true size (`--norm_wh`). Each may also be a function of one's own, `module:name`: see `losses.own_errors`.
    """

    heatmap: Annotated[str, words_or_outside(HeatmapLoss, kind="losses")] = "focal"
    boxes: Annotated[str, words_or_outside(BoxLoss, kind="losses")] = "l1"
    offset: Annotated[str, words_or_outside(NumberLoss, kind="losses")] = "l1"
    relative_size: bool = False

    def __post_init__(self) -> None:
        if self.relative_size and self.boxes in get_args(OverlapLoss):
            raise ValueError(f"relative_size: is for boxes: l1 or smooth_l1, found {self.boxes}, which depends on no scale already")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """`max_objects`: only that many of an image's objects become targets. `size_weight`: of the boxes' loss, whatever they are said in.

    radius: how far a peak's Gaussian reaches: 'cornernet' as the published models were trained, 'cornernet_fixed' the root of the
    same equation without its slip (once called 'corrected'), 'ttf' an ellipse `alpha` of the way to the box's sides, 'fixed'
    `fixed_radius` cells. min_overlap: the IoU a box keeps when its corners move by the radius, of the first two.
    """

    max_objects: Annotated[int, Field(ge=1)] = 128
    heatmap_weight: Weight = 1.0
    size_weight: Weight = 0.1
    offset_weight: Weight = 1.0
    radius: Annotated[RadiusRule, BeforeValidator(lambda word: "cornernet_fixed" if word == "corrected" else word)] = "cornernet"
    min_overlap: Annotated[float, Field(gt=0, lt=1)] = 0.7
    alpha: Part = 0.54
    fixed_radius: Annotated[int, Field(ge=0)] = 2
    boxes: BoxesConfig = BoxesConfig()
    loss: LossConfig = LossConfig()

    def __post_init__(self) -> None:
        if not (self.heatmap_weight or self.size_weight or (self.offset_weight and self.boxes.form == "size")):
            raise ValueError("heatmap_weight, size_weight and offset_weight are all 0: there is nothing to learn; expected one above 0")
        if self.boxes.form != "ltrb":
            if self.boxes.at == "heatmap" and self.loss.boxes in get_args(OverlapLoss):
                raise ValueError(
                    f"boxes.at: heatmap has no offsets to decode boxes with: loss.boxes is {self.loss.boxes}, expected l1 or smooth_l1"
                )
            return
        if self.loss.relative_size:
            raise ValueError("loss.relative_size: divides by sizes, but boxes.form ltrb says distances; use form: size, or leave it out")
        for key, value, default in (("offset_weight", self.offset_weight, 1.0), ("loss.offset", self.loss.offset, "l1")):
            if value != default:
                raise ValueError(f"{key}: found {value}, of a head that boxes.form ltrb does not have; leave it out")
