"""The one way into the network: whole image inside, aspect kept, black around, and back again."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centernet.data.augment import AugmentConfig, sample_geometry
from centernet.geometry.affine import center_scale_matrix, invert, transform_points
from centernet.imaging.warp import (
    covered_rows,
    fit_matrix,
    input_size_for,
    reduced_matrix,
    reduction_for,
    reduction_of,
    resize_for_scale,
    warp,
)

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


@given(sides, sides, st.sampled_from([32, 64, 128]))
def test_keeping_the_resolution_rounds_up_as_the_official_code_pads(height: int, width: int, multiple: int) -> None:
    found = input_size_for((height, width), (512, 512), keep_resolution=True, multiple=multiple)
    assert found == ((height | (multiple - 1)) + 1, (width | (multiple - 1)) + 1)


@given(sides, sides)
def test_a_side_that_lacks_a_pixel_is_padded_as_the_keypoint_triplets_are(height: int, width: int) -> None:
    input_hw = input_size_for((height, width), (511, 511), keep_resolution=True, multiple=128, missing=(1, 1))
    assert input_hw == (height | 127, width | 127)
    matrix = fit_matrix((height, width), input_hw, keep_resolution=True)
    shift = input_hw[1] // 2 - width // 2, input_hw[0] // 2 - height // 2
    np.testing.assert_array_equal(matrix, [[1, 0, shift[0]], [0, 1, shift[1]]])


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


@settings(deadline=None)
@given(sides, sides, st.sampled_from([64, 100, 384]), st.integers(0, 10**6), st.booleans())
def test_leaving_out_what_is_black_changes_no_pixel(height: int, width: int, side: int, seed: int, random_crop: bool) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    matrix, _ = sample_geometry(rng, (height, width), (side, side + 20), AugmentConfig(random_crop=random_crop, shift=0.5))
    expected = cv2.warpAffine(image, matrix, (side + 20, side), flags=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(warp(image, matrix, (side, side + 20), out=np.full((side, side + 20, 3), 7, np.uint8)), expected)
    first, end = covered_rows(matrix, (height, width), (side, side + 20))
    assert not expected[:first].any()
    assert not expected[end:].any()


def test_a_rotated_view_may_reach_all_rows_and_one_beside_the_image_none() -> None:
    turned = center_scale_matrix((50, 20), 100, (64, 64), rotation_degrees=10)
    assert covered_rows(turned, (40, 100), (64, 64)) == (0, 64)
    aside = np.array([[1.0, 0, -500], [0, 1, -500]])
    assert covered_rows(aside, (40, 100), (64, 64)) == (0, 0)
    assert not warp(random_image(40, 100), aside, (64, 64), out=np.full((64, 64, 3), 9, np.uint8)).any()


@pytest.mark.parametrize(("zoom", "expected"), [(2, 1), (0.51, 1), (0.5, 2), (0.26, 2), (0.25, 4), (0.125, 8), (0.01, 8)])
def test_an_image_is_decoded_no_coarser_than_the_input(zoom: float, expected: int) -> None:
    for matrix in (
        np.array([[zoom, 0, 5], [0, zoom, 9]]),
        np.array([[-zoom, 0, 5], [0, zoom, 9]]),
        np.array([[0, zoom, 5], [-zoom, 0, 9]]),
    ):
        assert reduction_for(matrix) == expected


def test_by_how_much_an_image_was_reduced_shows_in_its_sides() -> None:
    assert reduction_of((76, 101), (601, 807), asked=8) == 8
    assert reduction_of((601, 807), (601, 807), asked=8) == 1  # a cache may hold the whole image
    assert reduction_of((76, 101), (601, 807), asked=4) is None
    assert reduction_of((807, 601), (601, 807), asked=1) is None


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_pixel_of_a_reduced_image_lies_in_the_middle_of_those_it_stands_for(reduction: int) -> None:
    matrix = np.array([[0.1, 0.02, 3], [-0.02, 0.1, 7]])
    covered = np.mgrid[:reduction, :reduction].reshape(2, -1).mean(axis=1) + 5 * reduction
    np.testing.assert_allclose(transform_points([5, 5], reduced_matrix(matrix, reduction)), transform_points(covered, matrix))
    assert reduced_matrix(matrix, 1) is matrix
