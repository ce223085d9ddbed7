"""What each head would say if it were perfect: to see what its mistakes cost."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from centernet.geometry.nearest import away_from, nearest_place
from centernet.structures import Array, Grid, Sample
from centernet.tasks._keypoints.targets import CERTAIN_LOGIT

NOTHING = -200.0  # a logit whose sigmoid is 0 in float32
SLOPE = -0.01  # of a heatmap where there is nothing, per cell: on level ground every cell would be the highest of its neighbourhood


def perfect_heads(
    sample: Sample, grid: Grid, *, encode: Callable[..., dict[str, Array]], heads: Collection[str], num_kinds: int = 1
) -> dict[str, Array]:
    """Each head's perfect map of one image (Zhou et al. 2019, Objects as Points, arXiv:1904.07850, appendix "Error Analysis").

    A peak need not be in the right cell to be given the right size: as in the paper, every cell has that of the object whose centre
    is nearest. From a cell inside that object's box the offset leads to its centre, and the distances to its sides; further away they
    are those of the centre's cell, so that a peak on the background finds nothing.

    Args:
        sample: its boxes are xyxy in network-input pixels; all of them are to be found.
        grid: the network's input size and stride.
        encode: `targets.encode_centers` with `form="ltrb"`, `at="center"`, and `class_ids` besides.
        heads: heatmap, and size and offset, or ltrb.
        num_kinds: sizes are said so many times, once for each class.

    Returns:
        heatmap: (1, C, h, w) float32 logits, certain of the centres and of nothing else. size: (1, 2 * num_kinds, h, w), offset:
        (1, 2, h, w), ltrb: (1, 4, h, w), float32, in cells; zeros without an object.
    """
    targets = encode(sample, grid)
    ltrb = _distances(targets, grid.cells)
    low, high = ltrb[:2], ltrb[2:]  # from the middle of the cell
    maps = {
        "heatmap": _heatmap(targets),
        "size": np.tile(low + high, (num_kinds, 1, 1)),
        "offset": (high - low + 1) / 2,
        "ltrb": ltrb,
    }
    return {name: maps[name].astype(np.float32)[None] for name in heads}


def _heatmap(targets: dict[str, Array]) -> Array:
    is_object = targets["mask"] > 0
    num_classes, height, width = targets["heatmap"].shape
    slope = SLOPE * np.add.outer(np.arange(height), np.arange(width)).astype(np.float32)
    heatmap = np.repeat(NOTHING + slope.reshape(1, -1), num_classes, axis=0)
    heatmap[targets["class_ids"][is_object], targets["indices"][is_object]] = CERTAIN_LOGIT
    return heatmap.reshape(num_classes, height, width)


def _distances(targets: dict[str, Array], cells: tuple[int, int]) -> Array:
    """(4, h, w): from the middle of each cell to the sides of its nearest object's box, or, outside of it, from its centre's cell."""
    is_object = targets["mask"] > 0
    if not is_object.any():
        return np.zeros((4, *cells))
    rows, columns = np.divmod(targets["indices"][is_object], cells[1])
    places = np.stack([columns, rows], axis=1)
    nearest = nearest_place(places, cells=cells)
    of_center = targets["ltrb"][is_object][nearest].transpose(2, 0, 1)
    away = away_from(places, nearest)
    from_here = of_center + np.concatenate([away, -away])
    return np.where((from_here >= 0).all(axis=0), from_here, of_center)
