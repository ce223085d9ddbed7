"""Large images: detected tile by tile, and the tiles' detections put together without duplicates at the seams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from centernet.geometry.boxes import area
from centernet.inference.pieces import DUPLICATE, Seen, clipped, joined, shared_area
from centernet.structures import Array, Detections

CONTAINED = 0.7  # share of a cut piece inside an object from which it is a piece of that object,
VISIBLE = 0.5  # if it is at least this share of what its tile shows of the object
GROUP = 3  # objects of its class inside something large, from which that is a group seen from afar
OVERLAP = 8  # tiles share this part of their side, where nothing else is asked for


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """tile: side of a tile in image pixels, > 0. overlap: that neighbouring tiles share at least, 0 <= overlap < tile.

    cell: image pixels to a cell of the network's heatmap, which is how exactly it places a box. aspect: height over width of
    what the network sees of a tile, in (0, 1]; tiles are so much lower. repeats: the detector may say an object more than once,
    as it does where it needs soft-NMS, which lowers scores and drops nothing: of several test scales, and of keypoint triplets.
    """

    tile: int
    overlap: int
    cell: float = 0.0
    aspect: float = 1.0
    repeats: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.tile:
            raise ValueError(f"tiles of {self.tile} pixels cannot overlap by {self.overlap}, expected 0 <= overlap < tile")
        if not 0 < self.aspect <= 1:
            raise ValueError(f"tiles {self.aspect} times as high as wide, expected more than 0 and at most 1")

    @property
    def height(self) -> int:
        """Pixels, more than the overlap."""
        return max(int(self.tile * self.aspect), self.overlap + 1)

    @property
    def margin(self) -> float:
        """Pixels: a box that ends so near to a seam may be cut by it."""
        return max(self.overlap / 4, self.tile / 64, 1.5 * self.cell)


def tile_windows(image_hw: tuple[int, int], tiling: Tiling) -> Array:
    """Where the tiles are, evenly spread: (n, 4) int64 xyxy in image pixels, by rows; no larger than the image.

    Args:
        image_hw: (height, width) of the image, in pixels.
    """
    height, width = image_hw
    rows, columns = _spans(height, tiling.height, tiling.overlap), _spans(width, tiling.tile, tiling.overlap)
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
    in the view of the whole image, that a tile looked at from nearer or in full without reporting it. Something large in which
    tiles show something surer, or several objects of its class, is a group seen from afar, and dropped as well: the whole image
    shows things smaller than the network knows them, and a network in doubt takes a crowd of them for one. (Scenes of shapes, five
    tiles wide and high, and the network of cfg/quickstart.yaml: of 85 such false boxes this leaves 7, and every object.)

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
    found = Seen.gather([*parts, large], views, tiling.margin)
    if tiling.repeats:
        found = _without_repeats(found.by_score())
    is_large = found.view == len(windows)
    afar, near = found.select(is_large), found.select(~is_large)
    every = _merged(near, windows, image_hw, tiling.margin)
    if len(large):
        every = _merged(near.extended(afar.select(~_is_group(afar, every))), windows, image_hw, tiling.margin)
    return Detections(every.boxes.astype(np.float32), every.scores, every.class_ids, whole.class_names)


def _merged(seen: Seen, windows: Array, image_hw: tuple[int, int], margin: float) -> Seen:
    """Every object that the given views show, once, best first."""
    is_cut = seen.cut.any(axis=1)
    known, pieces = _without_duplicates(seen.select(~is_cut).by_score()), seen.select(is_cut)
    everything = np.ones(len(known.scores), bool)
    is_known = [_is_seen_of_any(pieces, i, known, everything) for i in range(len(pieces.scores))]
    whole, single = joined(pieces.select(~np.array(is_known, bool)), seen, windows, margin)
    visible = clipped(single.boxes, single.windows)
    single = single.select(~_is_inside(visible, windows, image_hw, margin).any(axis=1))
    every = known.extended(whole.by_score()).extended(single.by_score())
    return _without_duplicates(every, num_sure=len(known.scores)).by_score()


def _without_duplicates(seen: Seen, *, num_sure: int = 0) -> Seen:
    """The first `num_sure` ones, and each of the rest that is nothing known by then."""
    is_kept = np.arange(len(seen.scores)) < num_sure
    for i in range(num_sure, len(seen.scores)):
        is_kept[i] = not _is_seen_of_any(seen, i, seen, is_kept)
    return seen.select(is_kept)


def _is_seen_of_any(candidates: Seen, i: int, known: Seen, is_considered: Array) -> bool:
    """Whether candidate `i` is what its view shows of a known one; only boxes that meet it are looked at, since there may be thousands."""
    x1, y1, x2, y2 = candidates.boxes[i]
    left, top, right, bottom = known.boxes.T
    meets = np.flatnonzero(is_considered & (left < x2) & (top < y2) & (right > x1) & (bottom > y1))
    return bool(len(meets)) and bool(_is_seen_of(candidates.select(np.array([i])), known.select(meets))[0])


def _is_seen_of(candidates: Seen, known: Seen) -> Array:
    """(n,) bool: whether a candidate is what its view shows of a known object of another view.

    For a cut candidate the class may differ, since a part of a thing is easily taken for another thing.
    """
    window = candidates.windows[:, None]
    own, other = clipped(candidates.boxes[:, None], window), clipped(known.boxes[None], window)
    common = area(np.concatenate([np.maximum(own[..., :2], other[..., :2]), np.minimum(own[..., 2:], other[..., 2:])], axis=-1))
    own_area = area(own)
    same_class = candidates.class_ids[:, None] == known.class_ids
    is_cut = candidates.cut.any(axis=1)[:, None]
    alike = (common >= DUPLICATE * (own_area + area(other) - common)) & (same_class | is_cut)
    inside = (common >= CONTAINED * own_area) & (own_area >= VISIBLE * area(other)) & same_class & is_cut
    result: Array = ((alike | inside) & (common > 0) & (candidates.view[:, None] != known.view)).any(axis=1)
    return result


def _is_group(large: Seen, near: Seen) -> Array:
    """(n,) bool: what from afar looks like one thing; and from near like several of that class, or like something surer inside."""
    shared, content = shared_area(large, near), area(near.boxes)
    is_content = shared >= CONTAINED * content
    is_other = shared < DUPLICATE * (area(large.boxes)[:, None] + content - shared)
    is_surer = ~near.cut.any(axis=1) & (near.view >= 0) & (near.scores > large.scores[:, None])
    is_alike = large.class_ids[:, None] == near.class_ids
    result: Array = ((is_content & is_alike).sum(axis=1) >= GROUP) | (is_content & is_other & is_surer).any(axis=1)
    return result


def _without_repeats(seen: Seen) -> Seen:
    """Of the boxes that a view has of one object only the best; `seen` is sorted, best first."""
    shared, own = shared_area(seen, seen), area(seen.boxes)
    alike = shared >= DUPLICATE * (own[:, None] + own - shared)
    inside = (shared >= CONTAINED * own[:, None]) & (own[:, None] >= VISIBLE * own)
    repeats = (alike | inside) & (shared > 0) & (seen.class_ids[:, None] == seen.class_ids) & (seen.view[:, None] == seen.view)
    is_kept = np.ones(len(own), bool)
    for i in range(len(own)):
        is_kept[i] = not (repeats[i, :i] & is_kept[:i]).any()
    return seen.select(is_kept)


def _is_inside(boxes: Array, windows: Array, image_hw: tuple[int, int], margin: float) -> Array:
    """(n, m) bool: whether boxes (n, 4) are in windows (m, 4) with a margin to their seams."""
    sign, border = np.array([1, 1, -1, -1]), np.array([0, 0, image_hw[1], image_hw[0]])
    from_seam = (boxes[:, None] - windows) * sign
    result: Array = ((from_seam >= margin) | (windows == border)).all(axis=2)
    return result


def _spans(side: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    if side <= tile:
        return [(0, side)]
    number = -(-(side - overlap) // (tile - overlap))
    starts = np.rint(np.linspace(0, side - tile, number)).astype(int).tolist()
    return [(start, start + tile) for start in starts]
