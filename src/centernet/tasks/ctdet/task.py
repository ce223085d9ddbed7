"""The detection task: the parts of this folder under the interface of `tasks.base`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from centernet.geometry.gaussian import gaussian_radius, gaussian_radius_fixed
from centernet.geometry.nms import SoftNms
from centernet.metrics.coco_ap import CocoAP
from centernet.metrics.voc_ap import VocAP
from centernet.models.specs import HeadSpec, Layout
from centernet.structures import Annotations, Array, ClassTable, Detections, Grid
from centernet.tasks.base import Metric, MetricProtocol, Variables
from centernet.tasks.ctdet.config import Config
from centernet.tasks.ctdet.decode import decode_centers, merge_flipped, merge_scales, read_decoded
from centernet.tasks.ctdet.graph import decode_graph
from centernet.tasks.ctdet.losses import center_losses
from centernet.tasks.ctdet.targets import encode_centers, ideal_outputs

# The probability of an object at initialisation is 0.1 (arXiv:1708.02002, section 3.3).
HEATMAP_BIAS = -2.19

_RADIUS = {"cornernet": gaussian_radius, "corrected": gaussian_radius_fixed}


@dataclass(frozen=True)
class CenterDetection:
    """Objects as centre points with an offset and a size; see `tasks.base.Task` for the interface."""

    config: Config
    classes: ClassTable
    layout: Layout

    name = "ctdet"
    counts = ("num_peaks", "num_objects")
    published_names = {"heatmap": "hm_loss", "size": "wh_loss", "offset": "off_loss"}  # noqa: RUF012

    @property
    def heads(self) -> Mapping[str, HeadSpec]:
        return {
            "heatmap": HeadSpec(scope="hm", channels=len(self.classes), kind="heatmap", bias=HEATMAP_BIAS),
            "offset": HeadSpec(scope="reg", channels=2, kind="regression", channel_names=("x (cells)", "y (cells)")),
            "size": HeadSpec(scope="wh", channels=2, kind="regression", channel_names=("width (cells)", "height (cells)")),
        }

    @property
    def loss_weights(self) -> Mapping[str, float]:
        config = self.config
        return {"heatmap": config.heatmap_weight, "size": config.size_weight, "offset": config.offset_weight}

    @property
    def encode(self) -> Callable[..., dict[str, Array]]:
        return partial(  # of a function of its own, for processes without NNabla
            encode_centers,
            num_classes=len(self.classes),
            max_objects=self.config.max_objects,
            radius=_RADIUS[self.config.radius],
            min_overlap=self.config.min_overlap,
        )

    def ideal_outputs(self, targets: Mapping[str, Array], grid: Grid) -> dict[str, Array]:
        return ideal_outputs(targets, cells=grid.cells)

    def losses(self, outputs: Sequence[Variables], targets: Variables) -> Variables:
        return center_losses(outputs, targets, layout=self.layout)

    def decode(self, outputs: Mapping[str, Array], *, k: int, stride: int) -> list[Detections]:
        return decode_centers(outputs, k=k, stride=stride)

    def decode_graph(self, outputs: Variables, *, k: int, stride: int, layout: Layout, flipped: bool = False) -> Variables:
        return decode_graph(outputs, k=k, stride=stride, layout=layout, flipped=flipped)

    def read_decoded(self, arrays: Mapping[str, Array]) -> list[Detections]:
        return read_decoded(arrays)

    def merge_flipped(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        return merge_flipped(outputs)

    def merge_scales(
        self, parts: Sequence[Detections], *, limit: int, soft_nms: SoftNms | None = None, as_reference: bool = False
    ) -> Detections:
        return merge_scales(parts, limit=limit, soft_nms=soft_nms, as_reference=as_reference)

    def metric(
        self, annotations: Annotations, *, protocol: MetricProtocol, classes: ClassTable | None = None, inclusive_boxes: bool = True
    ) -> Metric:
        if protocol == "coco":
            return CocoAP(annotations, classes or self.classes)
        return VocAP(annotations, classes or self.classes, inclusive_boxes=inclusive_boxes)
