"""The detection task: the parts of this folder under the interface of `tasks.base`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np

from centernet.geometry.gaussian import Elliptic, Fixed, gaussian_radius, gaussian_radius_fixed
from centernet.geometry.nms import SoftNms
from centernet.models.specs import HeadSpec, Layout
from centernet.structures import Annotations, Array, ClassTable, Detections, Grid, Sample
from centernet.tasks._keypoints.decode import merge_scales
from centernet.tasks._keypoints.heads import HEATMAP_BIAS, with_probabilities
from centernet.tasks._keypoints.metric import box_metric
from centernet.tasks._keypoints.targets import RadiusFunction
from centernet.tasks.base import Metric, MetricProtocol, Variables
from centernet.tasks.ctdet.config import Config, OverlapLoss
from centernet.tasks.ctdet.decode import decode_centers, merge_flipped, possible_centers, read_decoded
from centernet.tasks.ctdet.graph import decode_graph
from centernet.tasks.ctdet.losses import center_losses
from centernet.tasks.ctdet.oracles import perfect_heads
from centernet.tasks.ctdet.targets import encode_centers, ideal_outputs

# Overlap has no slope where a box has no area: at initialisation boxes are this wide and high, in cells.
FIRST_SIDE = 8.0


@dataclass(frozen=True)
class CenterDetection:
    """Objects as centre points with an offset and a size; see `tasks.base.Task` for the interface."""

    config: Config
    classes: ClassTable
    layout: Layout

    name = "ctdet"

    @property
    def heads(self) -> Mapping[str, HeadSpec]:
        heatmap = HeadSpec(scope="hm", channels=len(self.classes), kind="heatmap", bias=HEATMAP_BIAS)
        side = FIRST_SIDE if self.config.loss.boxes in get_args(OverlapLoss) else 0.0
        if self.config.boxes.form == "ltrb":
            names = tuple(f"{name} (cells)" for name in ("left", "top", "right", "bottom"))
            return {"heatmap": heatmap, "ltrb": HeadSpec(scope="ltrb", channels=4, kind="regression", bias=side / 2, channel_names=names)}
        whose = [f"{name} " for name in self.classes.names] if self.config.boxes.per_class else [""]
        names = tuple(f"{one}{name} (cells)" for one in whose for name in ("width", "height"))
        return {
            "heatmap": heatmap,
            "offset": HeadSpec(scope="reg", channels=2, kind="regression", channel_names=("x (cells)", "y (cells)")),
            "size": HeadSpec(scope="wh", channels=len(names), kind="regression", bias=side, channel_names=names),
        }

    @property
    def counts(self) -> tuple[str, ...]:
        regions = ("total_weight",) if self.config.boxes.at != "center" else ()
        return ("num_peaks", "num_objects", *regions, *(("num_cells",) if self.config.loss.heatmap == "mse" else ()))

    @property
    def loss_weights(self) -> Mapping[str, float]:
        config = self.config
        weights = {"heatmap": config.heatmap_weight, "offset": config.offset_weight, "size": config.size_weight, "ltrb": config.size_weight}
        return {name: weights[name] for name in self.published_names}

    @property
    def published_names(self) -> Mapping[str, str]:
        if self.config.boxes.form == "ltrb":
            return {"heatmap": "hm_loss", "ltrb": "wh_loss"}
        return {"heatmap": "hm_loss", "size": "wh_loss", "offset": "off_loss"}

    @property
    def encode(self) -> Callable[..., dict[str, Array]]:
        config = self.config
        radius: Mapping[str, RadiusFunction | Elliptic | Fixed] = {
            "cornernet": gaussian_radius,
            "cornernet_fixed": gaussian_radius_fixed,
            "ttf": Elliptic(config.alpha),
            "fixed": Fixed(config.fixed_radius),
        }
        more = {"class_ids": config.boxes.per_class, "num_cells": config.loss.heatmap == "mse"}
        return partial(  # of a function of its own, for processes without NNabla
            encode_centers,
            num_classes=len(self.classes),
            max_objects=config.max_objects,
            radius=radius[config.radius],
            min_overlap=config.min_overlap,
            form=config.boxes.form,
            at=config.boxes.at,
            beta=config.boxes.beta,
            weight=config.boxes.weight,
            clip=config.boxes.clip,
            more=tuple(name for name, is_wanted in more.items() if is_wanted),
        )

    def ideal_outputs(self, targets: Mapping[str, Array], grid: Grid) -> dict[str, Array]:
        return ideal_outputs(targets, cells=grid.cells, certain=self.config.loss.heatmap == "focal")

    def oracles(self, sample: Sample, grid: Grid) -> dict[str, dict[str, Array]]:
        number = len(self.classes)
        encode = partial(
            encode_centers,
            num_classes=number,
            max_objects=max(len(sample.boxes), 1),
            radius=Fixed(0),
            min_overlap=self.config.min_overlap,
            form="ltrb",
            more=("class_ids",),
            clip=self.config.boxes.clip,
        )
        maps = perfect_heads(sample, grid, encode=encode, heads=self.heads, num_kinds=number if self.config.boxes.per_class else 1)
        return {name: {name: perfect} for name, perfect in maps.items()}

    def losses(self, outputs: Sequence[Variables], targets: Variables) -> Variables:
        loss = self.config.loss
        return center_losses(
            outputs,
            targets,
            layout=self.layout,
            heatmap=loss.heatmap,
            boxes=loss.boxes,
            offset=loss.offset,
            relative_size=loss.relative_size,
        )

    def decode(self, outputs: Mapping[str, Array], *, k: int, grid: Grid, flipped: bool = False) -> list[Detections]:
        return decode_centers(merge_flipped(outputs) if flipped else outputs, k=k, stride=grid.stride)

    def decode_graph(self, outputs: Variables, *, k: int, grid: Grid, layout: Layout, flipped: bool = False) -> Variables:
        return decode_graph(outputs, k=k, stride=grid.stride, layout=layout, flipped=flipped)

    def read_decoded(self, arrays: Mapping[str, Array], *, k: int) -> list[Detections]:
        return [found.select(np.arange(min(len(found), k))) for found in read_decoded(arrays)]

    suppression = None  # a heatmap's peaks are apart

    def merge_scales(
        self, parts: Sequence[Detections], *, limit: int, soft_nms: SoftNms | None = None, as_reference: bool = False
    ) -> Detections:
        return merge_scales(parts, limit=limit, soft_nms=soft_nms, as_reference=as_reference)

    def shown_maps(self, outputs: Mapping[str, Array], *, flipped: bool = False) -> dict[str, Array]:
        return with_probabilities(merge_flipped(outputs) if flipped else outputs, self.heads)

    def possible(self, outputs: Mapping[str, Array], *, grid: Grid, lowest: float, score_slack: float, map_slack: float) -> Detections:
        return possible_centers(outputs, stride=grid.stride, lowest=lowest, slack=score_slack)

    def metric(
        self, annotations: Annotations, *, protocol: MetricProtocol, classes: ClassTable | None = None, inclusive_boxes: bool = True
    ) -> Metric:
        return box_metric(annotations, classes or self.classes, protocol=protocol, inclusive_boxes=inclusive_boxes)
