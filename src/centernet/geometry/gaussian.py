"""How far a heatmap's peak reaches around an object's centre, and drawing it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SIGMAS = 6.0  # that a peak is wide


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


@dataclass(frozen=True)
class Elliptic:
    """A peak as wide and as high as its box (Liu et al. 2020, Training-Time-Friendly Network, arXiv:1909.00700, section 3.2).

    alpha: the peak reaches this part of the way from the centre to the box's sides, in (0, 1].
    """

    alpha: float = 0.54

    def radii(self, height: float, width: float) -> tuple[int, int]:
        """How far the peak of a box of (height, width) cells reaches (across, down), in whole cells."""
        return int(width / 2 * self.alpha), int(height / 2 * self.alpha)


@dataclass(frozen=True)
class Fixed:
    """A peak of the same radius for every box, in whole cells, >= 0."""

    radius: int = 2

    def radii(self, height: float, width: float) -> tuple[int, int]:
        """As `Elliptic.radii`, whatever the box."""
        return self.radius, self.radius


def draw_gaussian(heatmap: Array, center: tuple[int, int], radius: int | tuple[int, int], *, sigmas: float = SIGMAS) -> None:
    """Draw one object's peak into a heatmap, in place; where peaks meet, the higher value stays.

    The peak is exp(-x^2 / (2 sigma_x^2) - y^2 / (2 sigma_y^2)) with sigma = (2 radius + 1) / sigmas (Zhou et al. 2019, Objects as
    Points, arXiv:1904.07850, section 3; the width is CornerNet's), cut to the rectangle of sides 2 radius + 1.

    Args:
        heatmap: (H, W) floating, one class, in [0, 1]; changed in place.
        center: (x, y), the cell of the object, where the value becomes exactly 1. The part of the rectangle outside the map is cut off.
        radius: in cells, >= 0, one for both directions or (across, down); 0 marks the one cell.
        sigmas: how many the rectangle is wide, > 0.

    Raises:
        ValueError: the radius is negative.
    """
    peak, rows, columns = gaussian_window(heatmap.shape, center, radius, heatmap.dtype, sigmas=sigmas)
    window = heatmap[rows, columns]
    np.maximum(window, peak, out=window)


def gaussian_window(
    shape: tuple[int, ...],
    center: tuple[int, int],
    radius: int | tuple[int, int],
    dtype: npt.DTypeLike = np.float32,
    *,
    sigmas: float = SIGMAS,
) -> tuple[Array, slice, slice]:
    """The part of `draw_gaussian`'s peak that lies on a map of `shape` (H, W), and the rows and columns it takes there.

    Raises:
        ValueError: the radius is negative.
    """
    (x, y), (across, down) = center, (radius, radius) if isinstance(radius, int) else radius
    if across < 0 or down < 0:
        raise ValueError(f"radius is {radius}, expected >= 0")
    height, width = shape
    top, bottom = max(y - down, 0), min(y + down + 1, height)
    left, right = max(x - across, 0), min(x + across + 1, width)
    if top >= bottom or left >= right:
        return np.zeros((0, 0), dtype), slice(0, 0), slice(0, 0)
    peak = (_round_peak if across == down else _peak)(across, down, np.dtype(dtype), sigmas)
    return peak[top - y + down : bottom - y + down, left - x + across : right - x + across], slice(top, bottom), slice(left, right)


def _peak(across: int, down: int, dtype: np.dtype[Any], sigmas: float) -> Array:
    """(2 down + 1, 2 across + 1), the whole peak; not to be written to."""
    peak: Array = np.multiply.outer(_profile(down, sigmas), _profile(across, sigmas)).astype(dtype)
    peak.flags.writeable = False
    return peak


_round_peak = lru_cache(maxsize=256)(_peak)  # of equal radii


@lru_cache(maxsize=1024)
def _profile(radius: int, sigmas: float) -> Array:
    """(2 radius + 1,), the peak along one direction."""
    distance = np.arange(-radius, radius + 1)
    profile: Array = np.exp(-(distance**2) / (2 * ((2 * radius + 1) / sigmas) ** 2))
    return profile
