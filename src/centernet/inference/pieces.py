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


def joined(pieces: Seen, seen: Seen, windows: Array, margin: float) -> tuple[Seen, Seen]:
    """Pieces of one object as one detection each, and the pieces that continue in no other tile.

    Never are two joined that one view reported as two, nor what such two look like in other views.

    Args:
        pieces: cut detections.
        seen: all detections of all views, the pieces among them.
        windows: (n, 4) xyxy, where all tiles are, in image pixels.
        margin: how far from a seam a cut box may end, in pixels.
    """
    numbers = _Groups(pieces, seen, _continues(pieces, windows, 0, margin) | _continues(pieces, windows, 1, margin)).numbers
    single = np.bincount(numbers, minlength=len(numbers))[numbers] == 1
    rows = [_hull(pieces.select(numbers == number), view=-1 - number) for number in np.unique(numbers[~single])]
    joined = pieces.select(np.zeros(0, int))
    for row in rows:
        joined = joined.extended(row)
    return joined, pieces.select(single)


class _Groups:
    """Which pieces are of one object: `numbers` (n,), equal for those, from what continues in what, the likest pairs first."""

    def __init__(self, pieces: Seen, seen: Seen, continues: Array) -> None:
        self._pieces, self._seen = pieces, seen
        self._rows: dict[int, Array] = {}
        self.numbers = np.arange(len(pieces.scores))
        pairs: list[tuple[float, int, int]] = []
        for i, row in enumerate(np.triu(continues)):
            nexts = np.flatnonzero(row)
            pairs += zip((-_likeness(pieces, i, pieces.select(nexts))).tolist(), [i] * len(nexts), nexts.tolist(), strict=True)
        for _, i, j in sorted(pairs):
            self._join(int(self.numbers[i]), int(self.numbers[j]))

    def _join(self, one: int, other: int) -> None:
        if one == other:
            return
        members = [np.flatnonzero(self.numbers == number).tolist() for number in (one, other)]
        if not any(self._are_two(i, j) for i in members[0] for j in members[1]):
            self.numbers[self.numbers == other] = one

    def _are_two(self, i: int, j: int) -> bool:
        """Whether some view reported both: one detection that is like the one piece only, and one that is like the other only."""
        if self._pieces.view[i] == self._pieces.view[j]:
            return True
        first, second = self._alike(i), self._alike(j)
        views = self._seen.view
        return bool(np.intersect1d(views[first & ~second], views[second & ~first]).size)

    def _alike(self, i: int) -> Array:
        if i not in self._rows:
            self._rows[i] = _likeness(self._pieces, i, self._seen) >= DUPLICATE
        return self._rows[i]


def _likeness(pieces: Seen, i: int, others: Seen) -> Array:
    """(n,) in [0, 1]: how alike piece i and the others are in what both views show: intersection over union, 0 for another class.

    What its own view has beside it is another thing.
    """
    window = np.concatenate(
        [np.maximum(pieces.windows[i, :2], others.windows[:, :2]), np.minimum(pieces.windows[i, 2:], others.windows[:, 2:])], 1
    )
    window[:, 2:] = np.maximum(window[:, :2], window[:, 2:])
    own, other = clipped(pieces.boxes[i], window), clipped(others.boxes, window)
    common = area(np.concatenate([np.maximum(own, other)[:, :2], np.minimum(own, other)[:, 2:]], axis=1))
    either: Array = area(own) + area(other) - common
    ratio = np.where(others.class_ids == pieces.class_ids[i], common / np.where(either > 0, either, 1), 0)
    result: Array = np.where(others.view == pieces.view[i], (others.boxes == pieces.boxes[i]).all(axis=1), ratio)
    return result


def _hull(pieces: Seen, *, view: int) -> Seen:
    """One detection around all pieces, with the best one's score and class."""
    best = pieces.select(np.array([pieces.scores.argmax()]))
    boxes, windows = (np.concatenate([a[:, :2].min(axis=0), a[:, 2:].max(axis=0)])[None] for a in (pieces.boxes, pieces.windows))
    return Seen(
        boxes=boxes, windows=windows, scores=best.scores, class_ids=best.class_ids, cut=np.zeros((1, 4), bool), view=np.array([view])
    )


def _continues(pieces: Seen, windows: Array, axis: int, margin: float) -> Array:
    """(n, n) bool, symmetric: two pieces are of one object that reaches through the strip where their tiles overlap.

    axis: 0 for tiles side by side, 1 for one above the other.
    """
    low, high, across = axis, axis + 2, 1 - axis
    a, b = pieces.windows[:, None], pieces.windows[None]
    place = np.searchsorted(np.unique(windows[:, low]), pieces.windows[:, low])  # beyond the next tile there may be others between
    neighbours = (place[:, None] + 1 == place) & (b[..., low] <= a[..., high])
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
