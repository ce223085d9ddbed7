"""How far two lists of detections of one image are from each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from centernet.structures import Array, Detections, Grid
from centernet.tasks.base import Task

FEWEST = 10  # detections of an image that are compared, whatever their scores, where there are as many
PRESENT = 1e-4  # places that hold no object have a score of 0, and any box
SLACK = 0.05  # of scores, at most
REACH = 8.0  # input pixels: two cells of the usual stride


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The largest differences that pass.

    maps: of heatmaps as probabilities, and of sizes and offsets in cells. scores: in [0, 1]. boxes: in input pixels; a detection
    that is further from its counterpart, or has none, is apart. apart: share of the detections, in [0, 1], that may be: rounding
    decides which of two equal neighbours is the maximum. lowest: score from which detections are compared.
    """

    maps: float
    boxes: float
    scores: float
    apart: float
    lowest: float


def nearest_differences(
    one: Detections, other: Detections, tolerance: Tolerance, *, is_complete: bool = False
) -> tuple[float, float, int, int]:
    """How far the detections of one side are from their counterparts on the other, the nearest of the same class.

    Looked at are the ten best, and all with a score of `tolerance.lowest`; but not those whose scores are so little above the
    other side's last one that they may have been pushed out of its list. Among several that are near enough, those with an
    equal score come first.

    Args:
        is_complete: the other side is not a list of the best, but all there could be (`candidates`): nothing was pushed out.

    Returns:
        The largest differences of boxes in pixels and of scores, how many detections were looked at, and how many of them are
        apart. Where nothing of the class is within half the box's longer side, there is no counterpart, and no difference. What
        is not a number is apart from everything.
    """
    lowest = tolerance.lowest
    is_full = not is_complete and len(other) >= len(one) > 0
    last = float(np.nan_to_num(other.scores).min()) + min(tolerance.scores, SLACK) if is_full else 0.0
    ranked = np.nan_to_num(one.scores, nan=np.inf)  # first, so that it is looked at
    best = np.argsort(-ranked, kind="stable")
    chosen = [i for rank, i in enumerate(best) if ranked[i] >= max(PRESENT, last) and (rank < FEWEST or ranked[i] >= lowest)]
    boxes, scores, apart = 0.0, 0.0, 0
    for i in chosen:
        x1, y1, x2, y2 = one.boxes[i]
        own = np.flatnonzero(other.class_ids == one.class_ids[i])
        away, off = abs(other.boxes[own] - one.boxes[i]).max(axis=1), abs(other.scores[own] - one.scores[i])
        away[np.isnan(away) | np.isnan(off)] = np.inf
        alike = away[off <= tolerance.scores].min(initial=np.inf)
        nearest = float(alike if alike <= tolerance.boxes else away.min(initial=np.inf))
        if nearest > max(REACH, abs(x2 - x1) / 2, abs(y2 - y1) / 2):
            apart += 1
            continue
        apart += nearest > tolerance.boxes
        boxes = max(boxes, nearest)
        scores = max(scores, float(off[away <= nearest + 1e-3].min()))
    return boxes, scores, len(chosen), apart


def candidates(task: Task, raw: Mapping[str, Array], tolerance: Tolerance, *, grid: Grid) -> Detections:
    """All that an equal network may answer to an image, whatever its K; scores may be off by the tolerance, at most 0.05.

    Args:
        raw: (1, C, h, w) by the head's name, as `task.decode` takes them. grid: of the network's input.
    """
    slack = min(tolerance.scores, SLACK)
    return task.possible(raw, grid=grid, lowest=PRESENT / 2, score_slack=slack, map_slack=tolerance.maps)
