"""Average precision as Pascal VOC defines it, for any classes."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

import numpy as np

from centernet.metrics.detection_store import DetectionCollector
from centernet.structures import Annotations, Array, ClassTable


class Curve(NamedTuple):
    """recall, precision: (n,) float64 in [0, 1] after each of the n detections, best first; nan if num_objects is 0."""

    recall: Array
    precision: Array
    num_objects: int


class ClassAP(TypedDict):
    """One class, in [0, 1]; -1 where it has no ground truth. AP and AP50: 11-point; AP50_area: area under the curve."""

    AP: float
    AP50: float
    AP50_area: float


class VocResult(TypedDict):
    """Means over the classes, in [0, 1]; -1 where there is no ground truth at all.

    AP, AP50: 11-point, over classes with ground truth. AP50_area: the same by area. AP50_all_classes: 11-point, classes
    without ground truth counting 0: the predecessor's number.
    """

    AP: float
    AP50: float
    AP50_area: float
    AP50_all_classes: float
    per_class: dict[str, ClassAP]


def precision_recall(
    image_index: Array, boxes: Array, *, truth_index: Array, truth_boxes: Array, is_ignored: Array, min_overlap: float = 0.5
) -> Curve:
    """The precision-recall curve of one class (Everingham et al. 2010, The Pascal VOC Challenge, section 4.2).

    Each detection, best first, is matched to the object of its image it overlaps most. Beyond `min_overlap` (strictly)
    the first such detection is right, later ones are wrong; those matched to an ignored object do not count.

    Args:
        image_index: (n,) int, the image of each detection, best score first.
        boxes: (n, 4), detections, xyxy in pixels, both corners inclusive: a box from 3 to 5 is 3 wide.
        truth_index: (m,) int, non-decreasing, the image of each object.
        truth_boxes: (m, 4), objects, in the same pixels.
        is_ignored: (m,) bool, difficult objects, which need not be found.
        min_overlap: IoU in [0, 1).

    Returns:
        The curve; without an object to find it is nan throughout.
    """
    overlap, match = _best_matches(image_index, boxes, truth_index, truth_boxes)
    is_hit = overlap > min_overlap
    is_counted = np.ones(len(boxes), bool)
    is_counted[is_hit] = ~is_ignored[match[is_hit]]
    hits = np.flatnonzero(is_hit & is_counted)
    is_right = np.zeros(len(boxes), bool)
    is_right[hits[np.unique(match[hits], return_index=True)[1]]] = True  # of each object, the best that found it
    num_objects = int(np.count_nonzero(~is_ignored))
    if num_objects == 0:
        return Curve(np.full(len(boxes), np.nan), np.full(len(boxes), np.nan), 0)
    # both are 0 until the first that counts
    right, wrong = np.cumsum(is_right), np.cumsum(is_counted & ~is_right)
    return Curve(right / num_objects, right / np.maximum(right + wrong, 1), num_objects)


def eleven_point_ap(curve: Curve) -> float:
    """VOC2007: mean over recall 0, 0.1, ..., 1 of the best precision at that recall or beyond; nan without ground truth."""
    if curve.num_objects == 0:
        return float("nan")
    best = [curve.precision[curve.recall >= threshold].max(initial=0.0) for threshold in np.arange(0.0, 1.1, 0.1)]
    return float(np.mean(best))


def area_ap(curve: Curve) -> float:
    """VOC2010 on: area under the curve, precision made non-increasing; nan without ground truth."""
    if curve.num_objects == 0:
        return float("nan")
    envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * envelope))


class VocAP(DetectionCollector):
    """Collects detections and computes VOC's numbers for the classes and annotations it is given.

    Difficult objects, and crowds, need not be found. `inclusive_boxes` says what the annotated boxes and with them the
    detections are: True, both corners belong to the box, as the XML files count pixels; False, the second corner is an
    edge, as in COCO-style JSON. Then it is moved one pixel inwards, but only for the objects: that is how the
    predecessor compares its detections with the XML files.
    """

    def __init__(self, annotations: Annotations, classes: ClassTable, *, min_overlap: float = 0.5, inclusive_boxes: bool = True) -> None:
        super().__init__(annotations, classes)
        self._min_overlap = min_overlap
        self._inclusive = inclusive_boxes

    def compute(self) -> VocResult:
        """11-point and area AP of each class and their means over all images of the data set."""
        curves = [self.curve(class_id) for class_id in range(len(self._classes))]
        points = np.asarray([eleven_point_ap(curve) for curve in curves])
        areas = np.asarray([area_ap(curve) for curve in curves])
        names = self._classes.names
        per_class = {
            name: ClassAP(AP=_or_minus_one(p), AP50=_or_minus_one(p), AP50_area=_or_minus_one(a))
            for name, p, a in zip(names, points, areas, strict=True)
        }
        mean = _mean(points)
        all_classes = float(np.nan_to_num(points).mean()) if mean >= 0 else -1.0
        return VocResult(AP=mean, AP50=mean, AP50_area=_mean(areas), AP50_all_classes=all_classes, per_class=per_class)

    def overall(self) -> dict[str, float]:
        """AP and AP50 of `compute` alone."""
        found = self.compute()
        return {"AP": found["AP"], "AP50": found["AP50"]}

    def curve(self, class_id: int) -> Curve:
        """The precision-recall curve of one class; class_id in [0, number of classes)."""
        truth = self._annotations
        chosen = truth.class_ids == class_id
        boxes = truth.boxes[chosen] - (0 if self._inclusive else np.asarray([0, 0, 1, 1]))
        image_index, _, found = self._store.of_class(class_id)
        return precision_recall(
            image_index,
            found,
            truth_index=truth.image_index[chosen],
            truth_boxes=boxes,
            is_ignored=(truth.is_difficult | truth.is_crowd)[chosen],
            min_overlap=self._min_overlap,
        )


def _best_matches(image_index: Array, boxes: Array, truth_index: Array, truth_boxes: Array) -> tuple[Array, Array]:
    """Each box's largest IoU with an object of its image, and that object's index: (n,) float64, (n,) int64; 0 and -1 without."""
    first, last = (np.searchsorted(truth_index, image_index, side) for side in ("left", "right"))
    num_pairs = last - first
    box = np.repeat(np.arange(len(boxes)), num_pairs)
    truth = np.arange(len(box)) - np.repeat(np.cumsum(num_pairs) - num_pairs - first, num_pairs)
    ious = _inclusive_iou(boxes[box].astype(np.float64), truth_boxes[truth].astype(np.float64))
    overlap, match = np.zeros(len(boxes)), np.full(len(boxes), -1)
    np.maximum.at(overlap, box, ious)
    best = np.flatnonzero(ious == overlap[box])[::-1]  # written backwards, so that the first of equals stays
    match[box[best]] = truth[best]
    return overlap, match


def _inclusive_iou(boxes: Array, others: Array) -> Array:
    """IoU of pairs, (n, 4) each, areas counted in pixels, corners inclusive: (n,)."""
    shared = np.maximum(np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2]) + 1, 0).prod(axis=1)
    areas = [(corners[:, 2:] - corners[:, :2] + 1).prod(axis=1) for corners in (boxes, others)]
    return np.asarray(shared / (areas[0] + areas[1] - shared))


def _mean(values: Array) -> float:
    measured = values[~np.isnan(values)]
    return float(measured.mean()) if measured.size else -1.0


def _or_minus_one(value: float) -> float:
    return -1.0 if np.isnan(value) else float(value)
