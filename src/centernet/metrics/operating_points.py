"""From judged detections to numbers: precision-recall curves, the best score to cut at, and what each kind of mistake costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from centernet.metrics.detection_errors import NEARLY, Judgement, Kind
from centernet.metrics.voc_ap import Curve, area_ap
from centernet.structures import Array

MISSED = "missed"  # the name of what is wrong with an object, beside those of `Kind`
RECALLS = np.linspace(0, 1, 101)


class OperatingPoint(NamedTuple):
    """Detections with a score of at least `threshold`: their precision, the objects' recall, and F1, all in [0, 1]."""

    threshold: float
    precision: float
    recall: float
    f1: float


class ScoredCurve(NamedTuple):
    """A curve, and the (n,) float32 score of the detection at each of its points, best first."""

    curve: Curve
    scores: Array


def class_curve(judgement: Judgement, class_id: int | None, *, num_objects: int) -> ScoredCurve:
    """The precision-recall curve of one class, or of all detections together; those that are ignored are left out.

    Args:
        class_id: None: all classes as one.
        num_objects: objects of the class that must be found.
    """
    rows = judgement.kinds != Kind.IGNORED
    if class_id is not None:
        rows &= judgement.class_ids == class_id
    return ScoredCurve(_curve(judgement.kinds[rows] == Kind.RIGHT, num_objects), judgement.scores[rows])


def best_f1(scored: ScoredCurve) -> OperatingPoint | None:
    """Where F1, 2PR / (P + R), is highest; None where nothing is right at any score.

    The threshold is the number with the fewest decimals that is above the next lower score, so that writing it down changes nothing.
    """
    scores, (recall, precision, num_objects) = scored.scores, scored.curve
    if num_objects == 0 or not (recall > 0).any():
        return None
    f1 = np.divide(2 * recall * precision, recall + precision, out=np.zeros(len(scores)), where=recall + precision > 0)
    is_last = np.append(scores[1:] != scores[:-1], True)  # of equal scores: no threshold comes between them
    best = int(np.where(is_last, f1, -1).argmax())
    below = float(scores[best + 1]) if best + 1 < len(scores) else -1.0
    return OperatingPoint(_shortest(below, float(scores[best])), float(precision[best]), float(recall[best]), float(f1[best]))


def interpolated(scored: ScoredCurve) -> tuple[Array, Array]:
    """At recall 0, 0.01, ..., 1, as COCO draws a curve: the best precision at that recall or beyond, and the score there.

    Both are 0 where a recall is never reached.

    Returns:
        precision (101,) float64 and scores (101,) float64, both in [0, 1].
    """
    recall, precision, num_objects = scored.curve
    levels, scores = np.zeros(len(RECALLS)), np.zeros(len(RECALLS))
    if num_objects:
        places = np.searchsorted(recall, RECALLS - 1e-12)
        reached = places < len(recall)
        levels[reached] = np.maximum.accumulate(precision[::-1])[::-1][places[reached]]
        scores[reached] = scored.scores[places[reached]]
    return levels, scores


def gains(judgement: Judgement, *, num_classes: int) -> dict[str, float]:
    """What AP50 would gain, were all mistakes of one kind mended, at any score (arXiv:2008.08115, section 2.3): points in [-1, 1].

    AP50 here is the mean area under the classes' curves. A detection that was confused or misplaced becomes right where its object
    is not found otherwise and no better detection is mended so, and is taken away where not; the other kinds are taken away.
    Missed objects are taken away, too: nobody can say with which score they would have been found.

    Returns:
        By the lower-case names of the wrong kinds and `MISSED`.
    """
    counted = judgement.kinds != Kind.IGNORED
    is_right = judgement.kinds == Kind.RIGHT
    num_objects = judgement.num_objects(num_classes)
    before = _mean_ap(judgement.class_ids[counted], is_right[counted], num_objects)
    found = {}
    for kind in (Kind.DUPLICATE, Kind.BACKGROUND, Kind.CONFUSED_AND_MISPLACED):
        rows = counted & (judgement.kinds != kind)
        found[kind.name.lower()] = _mean_ap(judgement.class_ids[rows], is_right[rows], num_objects) - before
    for kind in NEARLY:
        mended = mendable(judgement, kind)
        rows = counted & ((judgement.kinds != kind) | mended)
        class_ids = judgement.class_ids.copy()
        class_ids[mended] = judgement.truth_class_ids[judgement.objects[mended]]
        found[kind.name.lower()] = _mean_ap(class_ids[rows], (is_right | mended)[rows], num_objects) - before
    missed = judgement.missed()
    left = num_objects - np.bincount(judgement.truth_class_ids[missed], minlength=num_classes)
    found[MISSED] = _mean_ap(judgement.class_ids[counted], is_right[counted], left) - before
    return found


def mendable(judgement: Judgement, kind: Kind) -> Array:
    """(n,) bool: of each object that is not found, the best detection of this kind that meant it."""
    rows = np.flatnonzero(judgement.kinds == kind)
    rows = rows[~judgement.found()[judgement.objects[rows]]]
    chosen = np.zeros(len(judgement.kinds), bool)
    chosen[rows[np.unique(judgement.objects[rows], return_index=True)[1]]] = True
    return chosen


def _mean_ap(class_ids: Array, is_right: Array, num_objects: Array) -> float:
    """The mean area under the curves of the classes that have objects; 0 where none has. Detections best first."""
    areas = [area_ap(_curve(is_right[class_ids == i], int(number))) for i, number in enumerate(num_objects) if number]
    return float(np.mean(areas)) if areas else 0.0


def _curve(is_right: Array, num_objects: int) -> Curve:
    if num_objects == 0:
        return Curve(np.full(len(is_right), np.nan), np.full(len(is_right), np.nan), 0)
    right = np.cumsum(is_right)
    return Curve(right / num_objects, right / np.arange(1, len(right) + 1), num_objects)


def _shortest(low: float, high: float) -> float:
    """The number with the fewest decimals, two at least, in (low, high] once all three are float32, as scores are."""
    for decimals in range(2, 9):
        number = float(np.floor(high * 10**decimals + 1e-5) / 10**decimals)
        if np.float32(low) < np.float32(number) <= np.float32(high):
            return number
    return high
