from __future__ import annotations

import numpy as np
import pytest

from centernet.geometry.nearest import away_from, nearest_place


@pytest.mark.parametrize("number", [1, 2, 30])
def test_the_nearest_place_is_that_of_the_slow_search(number: int) -> None:
    places = np.stack([np.random.default_rng(number).integers(0, side, number) for side in (17, 9)], axis=1)
    nearest = nearest_place(places, cells=(9, 17))
    assert nearest.shape == (9, 17)
    for row in range(9):
        for column in range(17):
            squares = [(column - x) ** 2 + (row - y) ** 2 for x, y in places.tolist()]
            assert nearest[row, column] == squares.index(min(squares))


def test_how_far_a_cell_is_away_has_the_order_x_y() -> None:
    places = np.array([[2, 1]])
    away = away_from(places, nearest_place(places, cells=(3, 4)))
    assert away.shape == (2, 3, 4)
    assert away[:, 2, 0].tolist() == [-2, 1]
    assert away[:, 1, 2].tolist() == [0, 0]
