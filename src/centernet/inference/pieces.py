"""What several views of one image showed, cut by their borders or whole, and which pieces are of one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from centernet.geometry.boxes import area
from centernet.structures import Array, Detections

DUPLICATE = 0.5  # intersection over union from which two views show one object


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Detections with the view each was seen in: boxes and windows (n, 4) float64 xyxy in image pixels, scores (n,), class_ids (n,).

    cut: (n, 4) bool, whether a seam may cut its left, upper, right, lower side. view: (n,) the view's number.
    """

    boxes: Array
    scores: Array
    class_ids: Array
    windows: Array
    cut: Array
    view: Array

    @classmethod
    def gather(cls, parts: Sequence[Detections], views: Array, margin: float) -> Seen:
        """All parts in image pixels; the last view is the whole image, in its own pixels already."""
        view = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        windows = views[view]
        boxes = np.concatenate([part.boxes for part in parts]).astype(np.float64) + np.tile(windows[:, :2], 2)
        is_seam = windows * [1, 1, -1, -1] > views[-1] * [1, 1, -1, -1]
        cut = is_seam & ((boxes - windows) * [1, 1, -1, -1] <= margin)
        scores, class_ids = (np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "class_ids"))
        return cls(boxes=boxes, scores=scores, class_ids=class_ids, windows=windows, cut=cut, view=view)

    def select(self, keep: Array) -> Seen:
        return Seen(**{name: array[keep] for name, array in self._arrays().items()})

    def extended(self, other: Seen) -> Seen:
        return Seen(**{name: np.concatenate([array, getattr(other, name)]) for name, array in self._arrays().items()})

    def by_score(self) -> Seen:
        return self.select(np.argsort(-self.scores, kind="stable"))

    def _arrays(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def shared_area(one: Seen, other: Seen) -> Array:
    """(n, m): pixels that boxes share."""
    a, b = one.boxes[:, None], other.boxes[None]
    return area(np.concatenate([np.maximum(a, b)[..., :2], np.minimum(a, b)[..., 2:]], axis=-1))


def clipped(boxes: Array, windows: Array) -> Array:
    """Boxes as far as they are inside their windows."""
    return np.concatenate([np.clip(boxes[..., half], windows[..., :2], windows[..., 2:]) for half in (slice(0, 2), slice(2, 4))], axis=-1)


def joined(pieces: Seen, margin: float) -> tuple[Seen, Seen]:
    """Pieces of one object as one detection each, and the pieces that continue in no other tile."""
    continues = _continues(pieces, 0, margin) | _continues(pieces, 1, margin)
    group = np.arange(len(pieces.scores))
    while True:  # the lowest number spreads through each group
        lowest = np.minimum(group, np.where(continues, group[None], len(group)).min(axis=1, initial=len(group)))
        if (lowest == group).all():
            break
        group = lowest
    single = np.bincount(group, minlength=len(group))[group] == 1
    rows = [_hull(pieces.select(group == number), view=-1 - number) for number in np.unique(group[~single])]
    joined = pieces.select(np.zeros(0, int))
    for row in rows:
        joined = joined.extended(row)
    return joined, pieces.select(single)


def _hull(pieces: Seen, *, view: int) -> Seen:
    """One detection around all pieces, with the best one's score and class."""
    best = pieces.select(np.array([pieces.scores.argmax()]))
    boxes, windows = (np.concatenate([a[:, :2].min(axis=0), a[:, 2:].max(axis=0)])[None] for a in (pieces.boxes, pieces.windows))
    return Seen(
        boxes=boxes, windows=windows, scores=best.scores, class_ids=best.class_ids, cut=np.zeros((1, 4), bool), view=np.array([view])
    )


def _continues(pieces: Seen, axis: int, margin: float) -> Array:
    """(n, n) bool, symmetric: two pieces are of one object that reaches through the strip where their tiles overlap.

    axis: 0 for tiles side by side, 1 for one above the other.
    """
    low, high, across = axis, axis + 2, 1 - axis
    a, b = pieces.windows[:, None], pieces.windows[None]
    neighbours = (a[..., low] < b[..., low]) & (b[..., low] <= a[..., high]) & (a[..., high] < b[..., high])
    first, second = pieces.boxes[:, None], pieces.boxes[None]
    through = (first[..., low] <= b[..., low] + margin) & (second[..., high] >= a[..., high] - margin)
    cut = pieces.cut[:, None, high] & pieces.cut[None, :, low]
    # Across the seam both must have the same extent, as far as both tiles can see.
    top, bottom = np.maximum(a[..., across], b[..., across]), np.minimum(a[..., across + 2], b[..., across + 2])
    ends = [np.clip(box[..., side], top, np.maximum(bottom, top)) for box in (first, second) for side in (across, across + 2)]
    common = np.minimum(ends[1], ends[3]) - np.maximum(ends[0], ends[2])
    either = np.maximum(ends[1], ends[3]) - np.minimum(ends[0], ends[2])
    alike = (common > 0) & (common >= DUPLICATE * either) & (pieces.class_ids[:, None] == pieces.class_ids)
    one_way = neighbours & through & cut & alike
    both: Array = one_way | one_way.T
    return both
