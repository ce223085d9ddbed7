"""The metrics of tasks that detect boxes."""

from __future__ import annotations

from centernet.metrics.coco_ap import CocoAP
from centernet.metrics.voc_ap import VocAP
from centernet.structures import Annotations, ClassTable
from centernet.tasks.base import Metric, MetricProtocol


def box_metric(annotations: Annotations, classes: ClassTable, *, protocol: MetricProtocol, inclusive_boxes: bool) -> Metric:
    """Average precision as the protocol's makers define it; `inclusive_boxes` as in `VocAP`, without meaning for COCO."""
    if protocol == "coco":
        return CocoAP(annotations, classes)
    return VocAP(annotations, classes, inclusive_boxes=inclusive_boxes)
