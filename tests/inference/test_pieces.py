"""What one view reports as two objects stays two, wherever the seams are."""

from __future__ import annotations

import numpy as np
import pytest

from centernet.inference.tiles import Tiling, merge_tiles, tile_windows
from centernet.structures import Array, Detections


def seen_in(window: Array, boxes: Array) -> Detections:
    """What a perfect detector says of a view, in its pixels: every part of an object that is at least 6 pixels wide and high."""
    shown = np.concatenate([np.maximum(boxes[:, :2], window[:2]), np.minimum(boxes[:, 2:], window[2:])], axis=1)
    shown = shown[(shown[:, 2:] - shown[:, :2] >= 6).all(axis=1)] - np.tile(window[:2], 2)
    return Detections(shown.astype(float).reshape(-1, 4), np.linspace(0.9, 0.5, len(shown)), np.zeros(len(shown), int))


def merged(boxes: Array, image_hw: tuple[int, int], tiling: Tiling, *, far: bool = False) -> Array:
    """The boxes that tiles and the view of the whole image make of objects; `far`: that view shows nothing."""
    windows = tile_windows(image_hw, tiling)
    whole = seen_in(np.array([0, 0, image_hw[1], image_hw[0]]), boxes[: 0 if far else None])
    return merge_tiles([seen_in(window, boxes) for window in windows], windows, whole, image_hw, tiling).boxes


def holds(box: Array, part: Array) -> bool:
    shared = np.minimum(box[2:], part[2:]) - np.maximum(box[:2], part[:2])
    return bool((shared > 0).all() and shared.prod() >= 0.7 * (part[2:] - part[:2]).prod())


def apart(rng: np.random.Generator, image_hw: tuple[int, int], largest: int) -> Array:
    """Up to 40 boxes of 12 pixels a side or more, two pixels or more from each other."""
    taken, boxes = np.zeros(image_hw, bool), []
    for _ in range(40):
        width, height = rng.integers(12, largest, 2)
        x, y = rng.integers(0, image_hw[1] - width), rng.integers(0, image_hw[0] - height)
        if not taken[max(y - 2, 0) : y + height + 2, max(x - 2, 0) : x + width + 2].any():
            taken[y : y + height, x : x + width] = True
            boxes.append((x, y, x + width, y + height))
    return np.array(boxes)


def test_neighbours_between_which_tiles_end_stay_two() -> None:
    """Two rings of a mosaic, and tiles that overlap by half; the tile at (640, 384) has both."""
    rings = np.array([[704, 387, 750, 433], [707, 459, 760, 512]])
    found = merged(rings, (768, 1024), Tiling(tile=128, overlap=64, cell=4), far=True)
    np.testing.assert_allclose(found[np.argsort(found[:, 1])], rings)


@pytest.mark.parametrize("share", [0, 0.1, 0.25, 0.4, 0.5, 0.51, 0.66, 0.75, 0.9, 0.99])
@pytest.mark.parametrize("seed", range(6))
def test_what_one_view_shows_as_two_uncut_objects_never_becomes_one(share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tile, image_hw = 96, (200, 260)
    tiling = Tiling(tile=tile, overlap=min(int(share * tile), tile - 1 if share < 0.99 else tile - 8), cell=float(rng.choice([0, 4])))
    boxes = apart(rng, image_hw, 70)
    windows = tile_windows(image_hw, tiling)
    is_whole = np.array([[(box[:2] >= w[:2]).all() and (box[2:] <= w[2:]).all() for box in boxes] for w in windows])
    for found in merged(boxes, image_hw, tiling, far=True):
        inside = np.array([holds(found, box) for box in boxes])
        assert (is_whole & inside).sum(axis=1).max() <= 1, (found, boxes[inside])
