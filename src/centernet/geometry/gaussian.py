"""How far a heatmap's peak reaches around an object's centre, and drawing it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def gaussian_radius(height: float, width: float, min_overlap: float = 0.7) -> float:
    """How far both corners of a box may move so that it still overlaps the true one, as the reference computes it.

    Law and Deng 2018, CornerNet, arXiv:1808.01244, section 3.2: three cases (both corners inwards, outwards, or one
    each), one quadratic equation per case. The reference solves them with 2 in place of 2a in the denominator and, in
    two cases, takes the larger root; users measured the corrected radius (`gaussian_radius_fixed`) to be no better, and
    published weights were trained with this one.

    Args:
        height: of the box, in heatmap cells, >= 0.
        width: of the box, in heatmap cells, >= 0.
        min_overlap: IoU to keep, in (0, 1).

    Returns:
        The radius in heatmap cells, >= 0; the caller truncates it.
    """
    total, product = height + width, height * width
    inside_out = (total + math.sqrt(total**2 - 4 * product * (1 - min_overlap) / (1 + min_overlap))) / 2
    inwards = (2 * total + math.sqrt(4 * total**2 - 16 * (1 - min_overlap) * product)) / 2
    b = -2 * min_overlap * total
    outwards = (b + math.sqrt(b**2 + 16 * min_overlap * (1 - min_overlap) * product)) / 2
    return max(0.0, min(inside_out, inwards, outwards))


def gaussian_radius_fixed(height: float, width: float, min_overlap: float = 0.7) -> float:
    """The same three cases as `gaussian_radius`, with the equations solved as the paper means them.

    Any two boxes whose corners differ from the true ones by at most this much overlap it by at least `min_overlap`.

    Args:
        height: of the box, in heatmap cells, >= 0.
        width: of the box, in heatmap cells, >= 0.
        min_overlap: IoU to keep, in (0, 1).

    Returns:
        The radius in heatmap cells, >= 0; the caller truncates it.
    """
    total, product = height + width, height * width
    inside_out = (total - math.sqrt(total**2 - 4 * product * (1 - min_overlap) / (1 + min_overlap))) / 2
    inwards = (total - math.sqrt(total**2 - 4 * (1 - min_overlap) * product)) / 4
    b = 2 * min_overlap * total
    outwards = (-b + math.sqrt(b**2 + 16 * min_overlap * (1 - min_overlap) * product)) / (8 * min_overlap)
    return max(0.0, min(inside_out, inwards, outwards))


def draw_gaussian(heatmap: Array, center: tuple[int, int], radius: int) -> None:
    """Draw one object's peak into a heatmap, in place; where peaks meet, the higher value stays.

    The peak is exp(-d^2 / (2 sigma^2)) with sigma = (2 radius + 1) / 6 (Zhou et al. 2019, Objects as Points,
    arXiv:1904.07850, section 3; the width is CornerNet's), cut to the square of side 2 radius + 1.

    Args:
        heatmap: (H, W) floating, one class, in [0, 1]; changed in place.
        center: (x, y), the cell of the object, where the value becomes exactly 1. The part of the square outside the map is cut off.
        radius: in cells, >= 0; 0 marks the one cell.

    Raises:
        ValueError: the radius is negative.
    """
    if radius < 0:
        raise ValueError(f"radius is {radius}, expected >= 0")
    x, y = center
    height, width = heatmap.shape
    top, bottom = max(y - radius, 0), min(y + radius + 1, height)
    left, right = max(x - radius, 0), min(x + radius + 1, width)
    if top >= bottom or left >= right:
        return
    peak = _peak(radius, heatmap.dtype)
    window = heatmap[top:bottom, left:right]
    np.maximum(window, peak[top - y + radius : bottom - y + radius, left - x + radius : right - x + radius], out=window)


@lru_cache(maxsize=128)
def _peak(radius: int, dtype: np.dtype[Any]) -> Array:
    """(2 radius + 1, 2 radius + 1), the whole peak; not to be written to."""
    distance = np.arange(-radius, radius + 1)
    profile = np.exp(-(distance**2) / (2 * ((2 * radius + 1) / 6) ** 2))
    peak: Array = np.multiply.outer(profile, profile).astype(dtype)
    peak.flags.writeable = False
    return peak
