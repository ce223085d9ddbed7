"""Soft non-maximum suppression: boxes that overlap a better one of their class lose score instead of vanishing."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.geometry.boxes import iou_matrix

Array = npt.NDArray[Any]
NUM_BOX_COLUMNS = 5  # of the reference's rows: a box and its score


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SoftNms:
    """How to suppress; the numbers are those the official code tests with.

    method: what an overlap (IoU) makes of a score: gaussian multiplies it by exp(-IoU² / sigma), linear by 1 - IoU where the
    IoU is above `overlap`, hard by 0 there. min_score: a box that is brought below it is dropped.
    """

    method: Literal["gaussian", "linear", "hard"] = "gaussian"
    sigma: Annotated[float, Field(gt=0)] = 0.5
    overlap: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.001

    def factors(self, overlaps: Array) -> Array:
        """What scores are multiplied by, in [0, 1], for IoUs in [0, 1] of any shape."""
        if self.method == "gaussian":
            return np.asarray(np.exp(-(overlaps**2) / self.sigma))
        return np.where(overlaps > self.overlap, 1 - overlaps if self.method == "linear" else 0.0, 1.0)

    def __str__(self) -> str:
        setting = f"sigma {self.sigma:g}" if self.method == "gaussian" else f"IoU {self.overlap:g}"
        return f"soft-NMS ({self.method}, {setting}, scores from {self.min_score:g})" if self.method != "hard" else f"NMS ({setting})"


class Suppressed(NamedTuple):
    """What is left of n boxes, best first.

    kept: (m,) their indices. scores: (m,) float64, lowered. boxes: (m, 4) float64 xyxy, moved where corners were merged.
    """

    kept: Array
    scores: Array
    boxes: Array


def soft_nms(boxes: Array, scores: Array, settings: SoftNms, *, corner_scores: Array | None = None, power: float = 6.0) -> Suppressed:
    """Suppress the boxes of one class (Bodla et al. 2017, Soft-NMS, arXiv:1704.04503, section 3).

    The best box is taken, the scores of those that overlap it are lowered, and so on. Each box is taken once or dropped; a
    box that nothing overlaps keeps its score, however low. Memory grows with n².

    Args:
        boxes: (n, 4) xyxy, in any unit, continuous coordinates.
        scores: (n,) in [0, 1].
        corner_scores: (n, 2), >= 0: how far the top left and the bottom right corner of each box can be trusted. A box that is
            taken then becomes the mean of itself and those it suppresses, corner by corner, weighted with them and with
            (1 - factor) ** power (as the keypoint triplets' test merges boxes: Duan et al. 2019, arXiv:1904.08189).
        power: >= 0.

    Raises:
        ValueError: the arrays are not of one length.
    """
    boxes, current = np.asarray(boxes, np.float64).reshape(-1, 4), np.array(scores, np.float64)
    if current.shape != (len(boxes),) or (corner_scores is not None and corner_scores.shape != (len(boxes), 2)):
        raise ValueError(f"{len(boxes)} boxes, scores {current.shape}; expected a score (and two corner scores) for each box")
    factors = settings.factors(iou_matrix(boxes, boxes))
    trust = None if corner_scores is None else np.repeat(np.asarray(corner_scores, np.float64), 2, axis=1)
    is_left, kept, found, moved = np.ones(len(boxes), bool), [], [], []
    while is_left.any():
        best = int(np.where(is_left, current, -1.0).argmax())
        kept.append(best)
        found.append(current[best])
        is_left[best] = False
        is_lowered = is_left & (factors[best] < 1)
        moved.append(boxes[best] if trust is None else _mean_box(boxes, trust, best, np.flatnonzero(is_lowered), factors[best], power))
        current[is_lowered] *= factors[best, is_lowered]
        is_left &= ~is_lowered | (current >= settings.min_score)
    return Suppressed(np.asarray(kept, np.int64), np.asarray(found, np.float64), np.asarray(moved, np.float64).reshape(-1, 4))


def soft_nms_reference(rows: Array, settings: SoftNms, *, moves_all: bool = False, power: float | None = None) -> tuple[Array, int]:
    """The official implementation's result with its faults, to reproduce published numbers; use `soft_nms` otherwise.

    Boxes are one pixel larger than their coordinates say. A discarded row is overwritten with the last one, which also stays
    where it was, as it was then; the callers take all rows, so discarded boxes come back as duplicates of others. With `power`
    rows are merged with the weights of whatever row stood in their place before.

    Args:
        rows: (n, 5 or more) x1, y1, x2, y2, score and anything else; boxes in pixels.
        moves_all: the columns behind the score go along with their row, as in the variant for poses; else they stay.
        power: merge boxes as `soft_nms` does, with the columns 5 and 6 as the trust in their corners.

    Returns:
        All n rows, float32, in the order they ended up in; and how many of them the algorithm kept, those in front.
    """
    rows = np.array(rows, np.float32)
    end = len(rows)
    for first in range(len(rows)):
        best = first + int(rows[first:end, 4].argmax()) if first < end else first
        moved = rows.shape[1] if moves_all else NUM_BOX_COLUMNS
        rows[[first, best], :moved] = rows[[best, first], :moved]
        end = _lower(rows, first, end, settings, moves_all, power)
    return rows, end


def _mean_box(boxes: Array, trust: Array, best: int, others: Array, factors: Array, power: float) -> Array:
    """The mean of one box and those it suppresses; boxes and trust are (n, 4), others: (m,) their indices, factors: (n,)."""
    weights = np.concatenate([trust[best : best + 1], trust[others] * (1 - factors[others, None]) ** power])
    total = weights.sum(axis=0)
    mean = (np.concatenate([boxes[best : best + 1], boxes[others]]) * weights).sum(axis=0)
    moved: Array = np.divide(mean, total, out=boxes[best].copy(), where=total > 0)
    return moved


def _lower(rows: Array, first: int, end: int, settings: SoftNms, moves_all: bool, power: float | None) -> int:
    """One round of the reference, in place: row `first` suppresses those behind it; returns the new end of the rows."""
    overlaps = _overlaps_of_pixels(rows[first], rows)
    factors = settings.factors(overlaps).astype(np.float32)
    sums = rows[first, :4].astype(np.float64), np.ones(4)
    if power is not None:
        trust = rows[:, [5, 5, 6, 6]].astype(np.float64)
        sums = rows[first, :4] * trust[first], trust[first].copy()
    at = first + 1
    while at < end:
        is_discarded = False
        if overlaps[at] > 0:
            if power is not None:
                weight = trust[at] * (1 - float(factors[at])) ** power
                sums[0][:] += rows[at, :4] * weight
                sums[1][:] += weight
            rows[at, 4] *= factors[at]
            is_discarded = bool(rows[at, 4] < settings.min_score)
        if is_discarded:
            end -= 1
            rows[at, :NUM_BOX_COLUMNS] = rows[end, :NUM_BOX_COLUMNS]
            if moves_all:  # these change places
                rows[[at, end], NUM_BOX_COLUMNS:] = rows[[end, at], NUM_BOX_COLUMNS:]
            overlaps[at], factors[at] = overlaps[end], factors[end]
        else:
            at += 1
    if power is not None:
        rows[first, :4] = sums[0] / sums[1]
    return end


def _overlaps_of_pixels(row: Array, rows: Array) -> Array:
    """IoU of one box with many, boxes reaching to the end of their last pixel: (n,) float32."""
    low, high = np.maximum(row[:2], rows[:, :2]), np.minimum(row[2:4], rows[:, 2:4])
    sides = np.maximum(high - low + 1, 0)
    shared = sides[:, 0] * sides[:, 1]
    areas = (rows[:, 2] - rows[:, 0] + 1) * (rows[:, 3] - rows[:, 1] + 1)
    own = (row[2] - row[0] + 1) * (row[3] - row[1] + 1)
    return np.asarray(shared / (own + areas - shared))
