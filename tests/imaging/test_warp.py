"""The one way into the network: whole image inside, aspect kept, black around, and back again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.geometry.affine import invert, transform_points
from centernet.imaging.warp import fit_matrix, input_size_for, resize_for_scale, warp

sides = st.integers(1, 700)


def random_image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@given(sides, sides, st.sampled_from([64, 384, 512]))
def test_a_square_input_shows_the_whole_image_and_keeps_its_aspect(height: int, width: int, side: int) -> None:
    matrix = fit_matrix((height, width), (side, side))
    corners = transform_points(np.array([[0, 0], [width, height]]), matrix)
    assert corners.min() >= -1e-9
    assert corners.max() <= side + 1e-9
    (w, h), longest = corners[1] - corners[0], max(height, width)
    np.testing.assert_allclose([w, h], [side * width / longest, side * height / longest])
    np.testing.assert_allclose(corners.sum(axis=0) / 2, [side / 2, side / 2])  # centred


@given(sides, sides)
def test_keeping_the_resolution_shifts_by_whole_pixels_into_a_multiple_of_32(height: int, width: int) -> None:
    input_hw = input_size_for((height, width), (512, 512), keep_resolution=True)
    assert all(side % 32 == 0 and 0 < side - old <= 32 for side, old in zip(input_hw, (height, width), strict=True))
    matrix = fit_matrix((height, width), input_hw, keep_resolution=True)
    np.testing.assert_array_equal(matrix[:, :2], np.eye(2))
    np.testing.assert_array_equal(matrix[:, 2], np.rint(matrix[:, 2]))


def test_keeping_the_resolution_copies_the_pixels() -> None:
    image = random_image(45, 71)
    input_hw = input_size_for((45, 71), (512, 512), keep_resolution=True)
    assert input_hw == (64, 96)
    warped = warp(image, fit_matrix((45, 71), input_hw, keep_resolution=True), input_hw)
    top, left = 32 - 22, 48 - 35
    np.testing.assert_array_equal(warped[top : top + 45, left : left + 71], image)
    assert warped.sum() == image.sum()  # all else is black


def test_without_keeping_the_resolution_the_configured_size_is_the_input() -> None:
    assert input_size_for((375, 500), (256, 320)) == (256, 320)


def test_points_found_in_the_input_go_back_to_the_image() -> None:
    matrix = fit_matrix((375, 500), (384, 384))
    assert transform_points(np.array([[192, 192]]), invert(matrix)).tolist() == pytest.approx(np.array([[250, 187.5]]))


def test_a_test_scale_zooms_the_network_input() -> None:
    image = random_image(100, 60)
    scaled = resize_for_scale(image, 1.5)
    assert scaled.shape == (150, 90, 3)
    matrix = fit_matrix((150, 90), (64, 64), extent=max(image.shape[:2]))
    assert matrix[0, 0] == pytest.approx(64 / 100)


def test_a_test_scale_of_one_is_the_image_itself_and_tiny_ones_leave_a_pixel() -> None:
    image = random_image(10, 7)
    assert resize_for_scale(image, 1) is image
    assert resize_for_scale(image, 0.01).shape == (1, 1, 3)
    with pytest.raises(ValueError, match="test scale is 0"):
        resize_for_scale(image, 0)


def test_the_exact_centre_can_be_asked_for() -> None:
    matrix = fit_matrix((375, 500), (384, 512), keep_resolution=True, center=(250, 187.5))
    assert matrix[:, 2].tolist() == [6, 4.5]


def test_warping_into_an_array_fills_that_array() -> None:
    image, batch = random_image(30, 40), np.full((2, 32, 32, 3), 7, np.uint8)
    matrix = fit_matrix((30, 40), (32, 32))
    result = warp(image, matrix, (32, 32), out=batch[1])
    assert np.shares_memory(result, batch)
    np.testing.assert_array_equal(batch[1], warp(image, matrix, (32, 32)))
    assert (batch[0] == 7).all()
    assert not batch[1][:4].any()  # above a wide image is black, whatever was there


def test_an_output_array_of_another_shape_or_type_is_refused() -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        warp(random_image(8, 8), np.eye(3)[:2], (8, 8), out=np.empty((8, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="expected uint8"):
        warp(random_image(8, 8), np.eye(3)[:2], (8, 8), out=np.empty((8, 8, 3), np.float32))
