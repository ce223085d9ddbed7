from __future__ import annotations

import numpy as np
import pytest

from centernet.structures import Detections, Grid


def test_a_grid_has_a_cell_for_every_stride_of_pixels_though_the_last_may_lack_one() -> None:
    assert Grid(512, 256).cells == (128, 64)
    assert Grid(511, 255).cells == (128, 64)
    assert Grid(511, 255).num_cells == 128 * 64


def test_maps_of_another_size_are_of_an_input_that_lacks_a_pixel_where_the_usual_one_does() -> None:
    assert Grid(511, 256).of_cells(32, 96) == Grid(127, 384)
    assert Grid(511, 256).of_cells(*Grid(511, 256).cells) == Grid(511, 256)


@pytest.mark.parametrize("size", [(510, 512), (512, 509), (513, 512)])
def test_other_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is not a multiple of the stride 4, nor one less"):
        Grid(*size)


def test_scores_of_corners_stay_with_their_boxes() -> None:
    found = Detections([[0, 0, 1, 1], [2, 2, 3, 3]], [0.9, 0.2], [0, 1], corner_scores=[[0.8, 1.0], [0.1, 0.3]])
    kept = found.select(np.array([1, 0])).above(0.5)
    np.testing.assert_allclose(kept.corner_scores, [[0.8, 1.0]])
    with pytest.raises(ValueError, match="corner_scores has shape"):
        Detections([[0, 0, 1, 1]], [0.9], [0], corner_scores=[[0.8]])
