"""Which of a few places is nearest to each cell of a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def nearest_place(places: Array, *, cells: tuple[int, int]) -> Array:
    """The place that is nearest to each cell; of equally near ones the first.

    Args:
        places: (n, 2) x and y of a cell each, whole numbers, n >= 1.
        cells: (h, w) of the map.

    Returns:
        (h, w) int64 in [0, n).
    """
    across = (np.arange(cells[1]) - places[:, :1]) ** 2
    down = (np.arange(cells[0]) - places[:, 1:]) ** 2
    nearest, smallest = np.zeros(cells, np.int64), down[0][:, None] + across[0]
    for number in range(1, len(places)):
        distance = down[number][:, None] + across[number]
        is_nearer = distance < smallest
        nearest[is_nearer] = number
        np.minimum(smallest, distance, out=smallest)
    return nearest


def away_from(places: Array, nearest: Array) -> Array:
    """How far each cell is from the place that is nearest to it, as `nearest_place` says: (2, h, w) int64, x and y in cells."""
    rows, columns = np.indices(nearest.shape)
    own = places[nearest].astype(np.int64)
    return np.stack([columns - own[..., 0], rows - own[..., 1]])
