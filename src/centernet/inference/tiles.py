"""Large images: detected tile by tile, and the tiles' detections put together without duplicates at the seams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from centernet.geometry.boxes import area
from centernet.structures import Array, Detections

DUPLICATE = 0.5  # intersection over union from which two views show one object
CONTAINED = 0.7  # share of a cut piece inside an object from which it is a piece of that object,
VISIBLE = 0.5  # if it is at least this share of what its tile shows of the object
GROUP = 3  # objects of its class inside something large, from which that is a group seen from afar


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """tile: side of a tile in image pixels, > 0. overlap: that neighbouring tiles share at least, 0 <= overlap < tile.

    cell: image pixels to a cell of the network's heatmap, which is how exactly it places a box.
    """

    tile: int
    overlap: int
    cell: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.tile:
            raise ValueError(f"tiles of {self.tile} pixels cannot overlap by {self.overlap}, expected 0 <= overlap < tile")

    @property
    def margin(self) -> float:
        """Pixels: a box that ends so near to a seam may be cut by it."""
        return max(self.overlap / 4, self.tile / 64, 1.5 * self.cell)


def tile_windows(image_hw: tuple[int, int], tiling: Tiling) -> Array:
    """Where the tiles are, evenly spread: (n, 4) int64 xyxy in image pixels, by rows; no larger than the image.

    Args:
        image_hw: (height, width) of the image, in pixels.
    """
    rows, columns = (_spans(side, tiling) for side in image_hw)
    return np.array([(x1, y1, x2, y2) for y1, y2 in rows for x1, x2 in columns], np.int64)


def detect_in_tiles(
    detect: Callable[[Sequence[Array]], list[Detections]], image: Array, tiling: Tiling, *, threshold: float = 0.0, batch_size: int = 1
) -> Detections:
    """Detect in every tile, and in the whole image for what is larger than a tile shows.

    Args:
        detect: images to detections in their pixels.
        image: (H, W, 3) uint8, BGR. One that is no larger than a tile is given to `detect` as it is.
        threshold: the lowest score kept, in [0, 1].
        batch_size: tiles given to `detect` at once, >= 1.

    Returns:
        Detections in pixels of the image, best first.
    """
    height, width = image.shape[:2]
    windows = tile_windows((height, width), tiling)
    if len(windows) == 1:
        return detect([image])[0].above(threshold)
    parts: list[Detections] = []
    for start in range(0, len(windows), batch_size):
        parts += detect([image[y1:y2, x1:x2] for x1, y1, x2, y2 in windows[start : start + batch_size]])
    parts = [part.above(threshold) for part in (*parts, *detect([image]))]
    return merge_tiles(parts[:-1], windows, parts[-1], (height, width), tiling)


def merge_tiles(parts: Sequence[Detections], windows: Array, whole: Detections, image_hw: tuple[int, int], tiling: Tiling) -> Detections:
    """Put the detections of tiles together; every object once and whole.

    An object no larger than the overlap is whole in some tile. Larger ones are taken from the view of the whole image, or,
    where that missed them, joined from the pieces that neighbouring tiles saw. Two rules keep out the rest: what a tile saw of
    an object that is known already is dropped (the object, cut to that tile, looks the same), and so is a piece, or a thing
    in the view of the whole image, that a tile looked at from nearer or in full without reporting it. Something large that
    tiles show to be several objects of its class is a group seen from afar, and dropped as well.

    Args:
        parts: one per tile, boxes in pixels of the tile.
        windows: (n, 4) xyxy, where the tiles are, in image pixels.
        whole: what was found in the whole image at once, in its pixels.
        image_hw: (height, width) of the image, in pixels.

    Returns:
        Detections in pixels of the image, best first.

    Raises:
        ValueError: not one part for each tile.
    """
    if len(parts) != len(windows):
        raise ValueError(f"{len(parts)} parts for {len(windows)} tiles")
    height, width = image_hw
    large = whole.select(~_is_inside(whole.boxes, windows, image_hw, tiling.margin).any(axis=1))
    # One more view: the whole image, which no seam cuts.
    views = np.concatenate([windows, [[0, 0, width, height]]]).astype(np.float64)
    found = _Seen.gather([*parts, large], views, tiling.margin)
    is_large = found.view == len(windows)
    afar, near = found.select(is_large), found.select(~is_large)
    every = _merged(near, windows, image_hw, tiling.margin)
    if len(large):
        every = _merged(near.extended(afar.select(~_is_group(afar, every))), windows, image_hw, tiling.margin)
    return Detections(every.boxes.astype(np.float32), every.scores, every.class_ids, whole.class_names)


@dataclass(frozen=True, kw_only=True)
class _Seen:
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
    def gather(cls, parts: Sequence[Detections], views: Array, margin: float) -> _Seen:
        """All parts in image pixels; the last view is the whole image, in its own pixels already."""
        view = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        windows = views[view]
        boxes = np.concatenate([part.boxes for part in parts]).astype(np.float64) + np.tile(windows[:, :2], 2)
        is_seam = windows * [1, 1, -1, -1] > views[-1] * [1, 1, -1, -1]
        cut = is_seam & ((boxes - windows) * [1, 1, -1, -1] <= margin)
        scores, class_ids = (np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "class_ids"))
        return cls(boxes=boxes, scores=scores, class_ids=class_ids, windows=windows, cut=cut, view=view)

    def select(self, keep: Array) -> _Seen:
        return _Seen(**{name: array[keep] for name, array in self._arrays().items()})

    def extended(self, other: _Seen) -> _Seen:
        return _Seen(**{name: np.concatenate([array, getattr(other, name)]) for name, array in self._arrays().items()})

    def by_score(self) -> _Seen:
        return self.select(np.argsort(-self.scores, kind="stable"))

    def _arrays(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def _merged(seen: _Seen, windows: Array, image_hw: tuple[int, int], margin: float) -> _Seen:
    """Every object that the given views show, once, best first."""
    is_cut = seen.cut.any(axis=1)
    known, pieces = _without_duplicates(seen.select(~is_cut).by_score()), seen.select(is_cut)
    everything = np.ones(len(known.scores), bool)
    is_known = [_is_seen_of_any(pieces, i, known, everything) for i in range(len(pieces.scores))]
    joined, single = _joined(pieces.select(~np.array(is_known, bool)), margin)
    visible = _clipped(single.boxes, single.windows)
    single = single.select(~_is_inside(visible, windows, image_hw, margin).any(axis=1))
    every = known.extended(joined.by_score()).extended(single.by_score())
    return _without_duplicates(every, num_sure=len(known.scores)).by_score()


def _without_duplicates(seen: _Seen, *, num_sure: int = 0) -> _Seen:
    """The first `num_sure` ones, and each of the rest that is nothing known by then."""
    is_kept = np.arange(len(seen.scores)) < num_sure
    for i in range(num_sure, len(seen.scores)):
        is_kept[i] = not _is_seen_of_any(seen, i, seen, is_kept)
    return seen.select(is_kept)


def _is_seen_of_any(candidates: _Seen, i: int, known: _Seen, is_considered: Array) -> bool:
    """Whether candidate `i` is what its view shows of a known one; only boxes that meet it are looked at, since there may be thousands."""
    x1, y1, x2, y2 = candidates.boxes[i]
    left, top, right, bottom = known.boxes.T
    meets = np.flatnonzero(is_considered & (left < x2) & (top < y2) & (right > x1) & (bottom > y1))
    return bool(len(meets)) and bool(_is_seen_of(candidates.select(np.array([i])), known.select(meets))[0])


def _is_seen_of(candidates: _Seen, known: _Seen) -> Array:
    """(n,) bool: whether a candidate is what its view shows of a known object of another view.

    For a cut candidate the class may differ, since a part of a thing is easily taken for another thing.
    """
    window = candidates.windows[:, None]
    own, other = _clipped(candidates.boxes[:, None], window), _clipped(known.boxes[None], window)
    common = area(np.concatenate([np.maximum(own[..., :2], other[..., :2]), np.minimum(own[..., 2:], other[..., 2:])], axis=-1))
    own_area = area(own)
    same_class = candidates.class_ids[:, None] == known.class_ids
    is_cut = candidates.cut.any(axis=1)[:, None]
    alike = (common >= DUPLICATE * (own_area + area(other) - common)) & (same_class | is_cut)
    inside = (common >= CONTAINED * own_area) & (own_area >= VISIBLE * area(other)) & same_class & is_cut
    result: Array = ((alike | inside) & (common > 0) & (candidates.view[:, None] != known.view)).any(axis=1)
    return result


def _is_group(large: _Seen, near: _Seen) -> Array:
    """(n,) bool: what from afar looks like one thing, and from near like several of that class."""
    container, content = large.boxes[:, None], near.boxes[None]
    common = np.concatenate([np.maximum(container, content)[..., :2], np.minimum(container, content)[..., 2:]], axis=-1)
    is_content = (area(common) >= CONTAINED * area(content)) & (large.class_ids[:, None] == near.class_ids)
    result: Array = is_content.sum(axis=1) >= GROUP
    return result


def _is_inside(boxes: Array, windows: Array, image_hw: tuple[int, int], margin: float) -> Array:
    """(n, m) bool: whether boxes (n, 4) are in windows (m, 4) with a margin to their seams."""
    sign, border = np.array([1, 1, -1, -1]), np.array([0, 0, image_hw[1], image_hw[0]])
    from_seam = (boxes[:, None] - windows) * sign
    result: Array = ((from_seam >= margin) | (windows == border)).all(axis=2)
    return result


def _clipped(boxes: Array, windows: Array) -> Array:
    """Boxes as far as they are inside their windows."""
    return np.concatenate([np.clip(boxes[..., half], windows[..., :2], windows[..., 2:]) for half in (slice(0, 2), slice(2, 4))], axis=-1)


def _joined(pieces: _Seen, margin: float) -> tuple[_Seen, _Seen]:
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


def _hull(pieces: _Seen, *, view: int) -> _Seen:
    """One detection around all pieces, with the best one's score and class."""
    best = pieces.select(np.array([pieces.scores.argmax()]))
    boxes, windows = (np.concatenate([a[:, :2].min(axis=0), a[:, 2:].max(axis=0)])[None] for a in (pieces.boxes, pieces.windows))
    return _Seen(
        boxes=boxes, windows=windows, scores=best.scores, class_ids=best.class_ids, cut=np.zeros((1, 4), bool), view=np.array([view])
    )


def _continues(pieces: _Seen, axis: int, margin: float) -> Array:
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


def _spans(side: int, tiling: Tiling) -> list[tuple[int, int]]:
    if side <= tiling.tile:
        return [(0, side)]
    number = -(-(side - tiling.overlap) // (tiling.tile - tiling.overlap))
    starts = np.rint(np.linspace(0, side - tiling.tile, number)).astype(int).tolist()
    return [(start, start + tiling.tile) for start in starts]
