"""Affine maps: inverses, compositions, boxes and the centre-and-scale window."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.geometry.affine import center_scale_matrix, compose, horizontal_flip, invert, transform_boxes, transform_points
from centernet.structures import Array

coordinates = st.floats(-500, 500)
windows = st.builds(
    center_scale_matrix,
    st.tuples(coordinates, coordinates),
    st.floats(20, 2000),
    st.tuples(st.integers(16, 512), st.integers(16, 512)),
    rotation_degrees=st.floats(-180, 180),
)
POINTS = np.array([[0.0, 0.0], [100, 0], [0, 50], [-30, 70]])


@given(windows)
def test_a_matrix_and_its_inverse_cancel(matrix: Array) -> None:
    np.testing.assert_allclose(transform_points(transform_points(POINTS, matrix), invert(matrix)), POINTS, atol=1e-6)
    np.testing.assert_allclose(compose(matrix, invert(matrix)), np.eye(3)[:2], atol=1e-6)


@given(windows, windows)
def test_composing_is_applying_one_after_the_other(first: Array, second: Array) -> None:
    one_by_one = transform_points(transform_points(POINTS, first), second)
    np.testing.assert_allclose(transform_points(POINTS, compose(first, second)), one_by_one, rtol=1e-9, atol=1e-6)


def test_a_flat_matrix_has_no_inverse() -> None:
    with pytest.raises(ValueError, match="determinant 0"):
        invert(np.zeros((2, 3)))


def test_the_windows_centre_and_sides_land_on_the_outputs() -> None:
    matrix = center_scale_matrix((250, 187.5), 500, (384, 384))
    moved = transform_points(np.array([[250, 187.5], [0, 187.5], [500, 187.5]]), matrix)
    np.testing.assert_allclose(moved, [[192, 192], [0, 192], [384, 192]], atol=1e-9)


def test_positive_rotation_turns_what_is_right_of_the_centre_upwards() -> None:
    matrix = center_scale_matrix((50, 50), 100, (100, 100), rotation_degrees=90)
    np.testing.assert_allclose(transform_points(np.array([80.0, 50.0]), matrix), [50, 20], atol=1e-9)


def test_shift_moves_the_window_by_a_share_of_its_sides() -> None:
    shifted = center_scale_matrix((50, 50), (100, 40), (100, 40), shift=(0.1, 0.5))
    np.testing.assert_allclose(shifted, center_scale_matrix((60, 70), (100, 40), (100, 40)))


def test_a_window_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="expected > 0"):
        center_scale_matrix((0, 0), 0, (10, 10))


def test_the_flip_matrix_reverses_an_images_columns() -> None:
    image = np.random.default_rng(0).integers(0, 255, (5, 8, 3), np.uint8)
    matrix = horizontal_flip(8)
    np.testing.assert_array_equal(cv2.warpAffine(image, matrix, (8, 5)), image[:, ::-1])
    np.testing.assert_allclose(compose(matrix, matrix), np.eye(3)[:2])


boxes = st.lists(st.tuples(coordinates, coordinates, st.floats(0, 300), st.floats(0, 300)), max_size=5).map(
    lambda rows: np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.float64).reshape(-1, 4)
)


@given(boxes, windows, st.booleans())
def test_transformed_boxes_are_the_hull_of_the_four_corners(given_boxes: Array, matrix: Array, flipped: bool) -> None:
    matrix = compose(horizontal_flip(300), matrix) if flipped else matrix
    corners = transform_points(given_boxes[:, [[0, 1], [2, 1], [0, 3], [2, 3]]], matrix)
    hull = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    np.testing.assert_allclose(transform_boxes(given_boxes, matrix), hull, rtol=1e-9, atol=1e-6)


@given(boxes, st.floats(20, 2000))
def test_without_rotation_a_box_is_exactly_its_two_transformed_corners(given_boxes: Array, scale: float) -> None:
    matrix = center_scale_matrix((31, 77), scale, (96, 96))
    np.testing.assert_array_equal(
        transform_boxes(given_boxes, matrix), transform_points(given_boxes.reshape(-1, 2, 2), matrix).reshape(-1, 4)
    )


def test_a_box_with_swapped_corners_stays_swapped() -> None:
    moved = transform_boxes(np.array([[30.0, 10, 20, 40]]), compose(horizontal_flip(100), center_scale_matrix((50, 50), 100, (50, 50))))
    assert moved[0, 2] < moved[0, 0]
    assert moved[0, 3] > moved[0, 1]
