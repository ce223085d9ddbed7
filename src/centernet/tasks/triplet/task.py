"""The triplet task: the parts of this folder under the interface of `tasks.base`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from centernet.geometry.gaussian import gaussian_radius, gaussian_radius_fixed
from centernet.geometry.nms import SoftNms
from centernet.models.specs import HeadSpec, Layout
from centernet.structures import Annotations, Array, ClassTable, Detections, Grid, Sample
from centernet.tasks._keypoints.decode import merge_scales
from centernet.tasks._keypoints.heads import HEATMAP_BIAS, with_probabilities
from centernet.tasks._keypoints.metric import box_metric
from centernet.tasks._keypoints.targets import RadiusFunction
from centernet.tasks.base import Metric, MetricProtocol, Variables
from centernet.tasks.triplet.config import Config
from centernet.tasks.triplet.decode import decode_triplets, read_decoded
from centernet.tasks.triplet.graph import decode_graph
from centernet.tasks.triplet.losses import triplet_losses
from centernet.tasks.triplet.oracles import perfect_heads
from centernet.tasks.triplet.possible import possible_triplets
from centernet.tasks.triplet.targets import CORNERS, COUNTS, POINTS, encode_triplets, ideal_outputs

RADII: Mapping[str, RadiusFunction] = {"cornernet": gaussian_radius, "cornernet_fixed": gaussian_radius_fixed}


@dataclass(frozen=True)
class Triplets:
    """Objects as two corners and a centre; see `tasks.base.Task` for the interface."""

    config: Config
    classes: ClassTable
    layout: Layout

    name = "triplet"

    @property
    def heads(self) -> Mapping[str, HeadSpec]:
        num_classes, cells = len(self.classes), ("x (cells)", "y (cells)")
        heads = {f"{p}_heat": HeadSpec(scope=f"{p}_heats", channels=num_classes, kind="heatmap", bias=HEATMAP_BIAS) for p in POINTS}
        heads |= {f"{p}_tag": HeadSpec(scope=f"{p}_tags", channels=1, kind="regression", channel_names=("embedding",)) for p in CORNERS}
        return heads | {f"{p}_regr": HeadSpec(scope=f"{p}_regrs", channels=2, kind="regression", channel_names=cells) for p in POINTS}

    counts = COUNTS

    @property
    def loss_weights(self) -> Mapping[str, float]:
        config = self.config
        return {
            "heatmap": config.heatmap_weight,
            "pull": config.pull_weight,
            "push": config.push_weight,
            "offset": config.offset_weight,
        }

    @property
    def published_names(self) -> Mapping[str, str]:
        return {"heatmap": "focal_loss", "pull": "pull_loss", "push": "push_loss", "offset": "reg_loss"}

    @property
    def encode(self) -> Callable[..., dict[str, Array]]:
        return partial(  # of a function of its own, for processes without NNabla
            encode_triplets,
            num_classes=len(self.classes),
            max_objects=self.config.max_objects,
            radius=RADII[self.config.radius],
            min_overlap=self.config.min_overlap,
        )

    def ideal_outputs(self, targets: Mapping[str, Array], grid: Grid) -> dict[str, Array]:
        return ideal_outputs(targets, cells=grid.cells)

    def oracles(self, sample: Sample, grid: Grid) -> dict[str, dict[str, Array]]:
        return perfect_heads(self.encode(sample, grid, max_objects=max(len(sample.boxes), 1)), cells=grid.cells)

    def losses(self, outputs: Sequence[Variables], targets: Variables) -> Variables:
        return triplet_losses(outputs, targets, layout=self.layout)

    def decode(self, outputs: Mapping[str, Array], *, k: int, grid: Grid, flipped: bool = False) -> list[Detections]:
        config = self.config
        return decode_triplets(outputs, k=k, grid=grid, corners=config.corners, ae_threshold=config.ae_threshold, flipped=flipped)

    def decode_graph(self, outputs: Variables, *, k: int, grid: Grid, layout: Layout, flipped: bool = False) -> Variables:
        config = self.config
        return decode_graph(
            outputs, k=k, grid=grid, layout=layout, corners=config.corners, ae_threshold=config.ae_threshold, flipped=flipped
        )

    def read_decoded(self, arrays: Mapping[str, Array], *, k: int) -> list[Detections]:
        return read_decoded(arrays)

    @property
    def suppression(self) -> SoftNms:
        return self.config.soft_nms

    def merge_scales(
        self, parts: Sequence[Detections], *, limit: int, soft_nms: SoftNms | None = None, as_reference: bool = False
    ) -> Detections:
        return merge_scales(
            parts,
            limit=limit,
            soft_nms=soft_nms or self.suppression,
            as_reference=as_reference,
            corner_power=self.config.corner_power,
        )

    def shown_maps(self, outputs: Mapping[str, Array], *, flipped: bool = False) -> dict[str, Array]:
        images = len(outputs["tl_heat"]) // (2 if flipped else 1)  # a mirror image has its corners elsewhere
        return with_probabilities({name: outputs[name][:images] for name in self.heads}, self.heads)

    def possible(self, outputs: Mapping[str, Array], *, grid: Grid, lowest: float, score_slack: float, map_slack: float) -> Detections:
        return possible_triplets(
            outputs,
            grid=grid,
            corners=self.config.corners,
            ae_threshold=self.config.ae_threshold,
            lowest=lowest,
            score_slack=score_slack,
            map_slack=map_slack,
        )

    def metric(
        self, annotations: Annotations, *, protocol: MetricProtocol, classes: ClassTable | None = None, inclusive_boxes: bool = True
    ) -> Metric:
        return box_metric(annotations, classes or self.classes, protocol=protocol, inclusive_boxes=inclusive_boxes)
