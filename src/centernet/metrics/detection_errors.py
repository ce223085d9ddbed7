"""What is wrong with each detection, and why objects are not found: the taxonomy of TIDE (Bolya et al. 2020, arXiv:2008.08115)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from centernet.geometry.boxes import area, iou_matrix
from centernet.structures import Annotations, Array, Detections

FOREGROUND, BACKGROUND = (
    0.5,
    0.1,
)  # the paper's t_f and t_b: the IoU from which a box is right, and below which it has nothing to do with an object


class Kind(IntEnum):
    """What a detection is; IoU is that with the object it overlaps most, of its own class or of another.

    RIGHT: IoU with its own class of at least `foreground`, and the best such detection of its object. MISPLACED: IoU with its own
    class from `background` to `foreground`. CONFUSED: IoU with another class of at least `foreground`. DUPLICATE: would be right,
    but its object has been found. BACKGROUND: IoU with all classes below `background`. CONFUSED_AND_MISPLACED: all others, IoU
    with another class between the two. IGNORED: on an object that need not be found.
    """

    RIGHT = 0
    MISPLACED = 1
    CONFUSED = 2
    DUPLICATE = 3
    BACKGROUND = 4
    CONFUSED_AND_MISPLACED = 5
    IGNORED = 6


WRONG = (Kind.MISPLACED, Kind.CONFUSED, Kind.DUPLICATE, Kind.BACKGROUND, Kind.CONFUSED_AND_MISPLACED)
NEARLY = (Kind.MISPLACED, Kind.CONFUSED)  # detections that would be right, were one thing mended


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """All detections of a data set, best first, and what they are; m objects in the order of the annotations.

    image_index (n,) int64. boxes (n, 4) float32 xyxy in pixels of the image. scores (n,) float32 in [0, 1]. class_ids (n,) int64.
    kinds (n,) int64, of `Kind`. objects (n,) int64 in [0, m): the object that is found, or was meant; -1 with BACKGROUND and IGNORED.
    truth_image_index, truth_class_ids (m,): of the objects. is_counted (m,) bool: whether they must be found.
    """

    image_index: Array
    boxes: Array
    scores: Array
    class_ids: Array
    kinds: Array
    objects: Array
    truth_image_index: Array
    truth_class_ids: Array
    is_counted: Array

    def found(self, shown: Array | None = None) -> Array:
        """(m,) bool: which objects are found by the detections that are shown, (n,) bool; default all."""
        return self._concerned((Kind.RIGHT,), shown)

    def missed(self, shown: Array | None = None) -> Array:
        """(m,) bool: objects that must be found, and are neither found nor what a confused or misplaced detection meant."""
        return self.is_counted & ~self._concerned((Kind.RIGHT, *NEARLY), shown)

    def num_objects(self, num_classes: int) -> Array:
        """(num_classes,) int64: objects of each class that must be found."""
        return np.bincount(self.truth_class_ids[self.is_counted], minlength=num_classes)

    def _concerned(self, kinds: tuple[Kind, ...], shown: Array | None) -> Array:
        rows = np.isin(self.kinds, kinds) if shown is None else np.isin(self.kinds, kinds) & shown
        concerned = np.zeros(len(self.is_counted), bool)
        concerned[self.objects[rows]] = True
        return concerned


def judge(
    found: Iterable[tuple[int, Detections]],
    annotations: Annotations,
    *,
    need_not_be_found: Array,
    foreground: float = FOREGROUND,
    background: float = BACKGROUND,
) -> Judgement:
    """Judge the detections of a data set; images that are not among those of `found` have none.

    Args:
        found: (image index, detections in pixels of the image) of each image.
        annotations: all objects.
        need_not_be_found: (m,) bool, objects whose detections do not count, besides crowds: difficult ones, where they are not measured.
        foreground, background: see `Kind`, 0 < background < foreground <= 1.
    """
    parts: list[tuple[Array, ...]] = []
    for image, detections in found:
        rows = annotations.of_image(image)
        order = np.argsort(-detections.scores, kind="stable")
        boxes, class_ids = detections.boxes[order], detections.class_ids[order]
        kinds, objects = judge_image(
            boxes,
            class_ids,
            truth_boxes=annotations.boxes[rows],
            truth_class_ids=annotations.class_ids[rows],
            is_crowd=annotations.is_crowd[rows],
            need_not_be_found=need_not_be_found[rows],
            foreground=foreground,
            background=background,
        )
        objects = np.where(objects >= 0, objects + rows.start, -1)
        parts.append((np.full(len(order), image), boxes, detections.scores[order], class_ids, kinds, objects))
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    none = np.zeros(0, np.int64)
    parts.append((none, nothing.boxes, nothing.scores, nothing.class_ids, none, none))
    image_index, boxes, scores, class_ids, kinds, objects = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    best_first = np.argsort(-scores, kind="stable")
    return Judgement(
        image_index=image_index[best_first],
        boxes=boxes[best_first],
        scores=scores[best_first],
        class_ids=class_ids[best_first],
        kinds=kinds[best_first],
        objects=objects[best_first],
        truth_image_index=annotations.image_index,
        truth_class_ids=annotations.class_ids,
        is_counted=~(annotations.is_crowd | need_not_be_found),
    )


def judge_image(
    boxes: Array,
    class_ids: Array,
    *,
    truth_boxes: Array,
    truth_class_ids: Array,
    is_crowd: Array,
    need_not_be_found: Array,
    foreground: float = FOREGROUND,
    background: float = BACKGROUND,
) -> tuple[Array, Array]:
    """What each detection of one image is, in the order in which the paper's authors ask.

    As COCO matches: each detection, best first, has the object of its class it overlaps most of those that are still free. What is on a
    crowd with at least `foreground` of its own area, or overlaps another object that need not be found by that much, is IGNORED.

    Args:
        boxes: (n, 4) xyxy, best first. class_ids: (n,).
        truth_boxes: (m, 4) xyxy, in the same pixels. truth_class_ids: (m,). is_crowd, need_not_be_found: (m,) bool.
        foreground, background: see `Kind`.

    Returns:
        kinds (n,) int64, and objects (n,) int64 in [0, m), as in `Judgement`.
    """
    counted = np.flatnonzero(~(is_crowd | need_not_be_found))
    # A last object that overlaps nothing, so that there always is one.
    overlap = np.pad(iou_matrix(boxes.astype(np.float64), truth_boxes[counted]), ((0, 0), (0, 1)))
    is_own = class_ids[:, None] == np.append(truth_class_ids[counted], -1)
    own, other = np.where(is_own, overlap, 0.0), np.where(is_own, 0.0, overlap)
    match = _matches(own, foreground)
    best_own, best_other = own.max(axis=1), other.max(axis=1)
    cases = {
        Kind.RIGHT: match >= 0,
        Kind.IGNORED: _is_ignored(boxes, class_ids, truth_boxes, truth_class_ids, is_crowd, need_not_be_found & ~is_crowd, foreground),
        Kind.MISPLACED: (best_own >= background) & (best_own < foreground),
        Kind.CONFUSED: best_other >= foreground,
        Kind.DUPLICATE: best_own >= foreground,
        Kind.BACKGROUND: np.maximum(best_own, best_other) < background,
    }
    kinds = np.select(list(cases.values()), [int(kind) for kind in cases], int(Kind.CONFUSED_AND_MISPLACED))
    meant = np.where(np.isin(kinds, (Kind.MISPLACED, Kind.DUPLICATE)), own.argmax(axis=1), other.argmax(axis=1))
    meant = np.where(kinds == Kind.RIGHT, match, meant)
    return kinds, np.where(np.isin(kinds, (Kind.BACKGROUND, Kind.IGNORED)), -1, np.append(counted, -1)[meant])


def _matches(own: Array, foreground: float) -> Array:
    """(n,) the object each detection is given, best first, -1 for none; own: (n, m) IoU where the classes agree."""
    match = np.full(len(own), -1)
    free = own.copy()
    for row in np.flatnonzero((own >= foreground).any(axis=1)):
        best = int(free[row].argmax())
        if free[row, best] >= foreground:
            match[row] = best
            free[:, best] = 0
    return match


def _is_ignored(
    boxes: Array, class_ids: Array, truth_boxes: Array, truth_class_ids: Array, is_crowd: Array, is_exempt: Array, foreground: float
) -> Array:
    """(n,) bool: whether a detection is in a crowd, or on an exempt object, of its class."""
    ignored = np.zeros(len(boxes), bool)
    if is_crowd.any():
        inside = _covered(boxes, truth_boxes[is_crowd]) >= foreground
        ignored |= (inside & (class_ids[:, None] == truth_class_ids[is_crowd])).any(axis=1)
    if is_exempt.any():
        on = iou_matrix(boxes.astype(np.float64), truth_boxes[is_exempt]) >= foreground
        ignored |= (on & (class_ids[:, None] == truth_class_ids[is_exempt])).any(axis=1)
    return ignored


def _covered(boxes: Array, regions: Array) -> Array:
    """(n, r): the share of each box that lies in each region, in [0, 1]; 0 for a box without area."""
    boxes = boxes.astype(np.float64)
    low, high = np.maximum(boxes[:, None, :2], regions[:, :2]), np.minimum(boxes[:, None, 2:], regions[:, 2:])
    shared, whole = area(np.concatenate([low, high], axis=-1)), area(boxes)[:, None]
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
