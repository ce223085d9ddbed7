"""Boxes as targets of whole regions of cells around the centres, not of the centres' cells alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from centernet.geometry.gaussian import gaussian_window
from centernet.structures import Array
from centernet.tasks.ctdet.config import Counting


@dataclass(frozen=True)
class Region:
    """One object on the map.

    box: (left, top, right, bottom) in cells. cell: (x, y) of its centre. radii: how far its region reaches (across, down), in
    cells, >= 0. area: >= 1, in pixels of the network's input.
    """

    box: tuple[float, float, float, float]
    cell: tuple[int, int]
    radii: tuple[int, int]
    area: float


def draw_regions(
    weights: Array,
    values: Mapping[str, Array],
    regions: Sequence[Region],
    *,
    at: Literal["3x3", "gaussian", "heatmap"],
    weight: Counting = "log_area",
) -> None:
    """Write what each object's cells should say of it, and how much each cell counts, in place.

    3x3: every cell counts 1. gaussian: an object's cells together count `weight`, shared out as its Gaussian (Liu et al. 2020,
    TTFNet, arXiv:1909.00700, equation 4, which takes log_area). Of both, the smaller object has the cells where two meet. heatmap:
    a cell counts as its highest Gaussian and belongs to that object (the official code's `--dense_wh`), of equal ones to the last.

    Args:
        weights: (h, w) of zeros.
        values: zeros, any of size (2, h, w): width and height; offset (2, h, w): centre minus cell (x, y); ltrb (4, h, w): from the
            cell's middle to the left, top, right and bottom side; all in cells.
    """
    order = regions if at == "heatmap" else sorted(regions, key=lambda region: -region.area)
    for region in order:
        peak, rows, columns = gaussian_window(weights.shape, region.cell, region.radii)
        window = weights[rows, columns]
        chosen: Array | slice = slice(None)
        if at == "3x3":
            window[...] = 1
        elif at == "gaussian":
            window[...] = peak * (_COUNTS[weight](region.area) / peak.sum())
        else:
            chosen = peak >= window
            np.maximum(window, peak, out=window)
        for name, maps in values.items():
            told = _told(name, region.box, rows, columns)
            for number, one in enumerate(told):
                part = maps[number, rows, columns]
                part[chosen] = np.broadcast_to(one, part.shape)[chosen]


_COUNTS: Mapping[Counting, Callable[[float], float]] = {"log_area": math.log, "sqrt_area": math.sqrt, "equal": lambda area: 1.0}


def _told(name: str, box: tuple[float, float, float, float], rows: slice, columns: slice) -> tuple[Array | float, ...]:
    """What cells should say of a box, one entry for each channel; each a number, a row or a column."""
    left, top, right, bottom = box
    if name == "size":
        return right - left, bottom - top
    x, y = np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop)[:, None]
    if name == "offset":
        return (left + right) / 2 - x, (top + bottom) / 2 - y
    return x + 0.5 - left, y + 0.5 - top, right - x - 0.5, bottom - y - 0.5
