"""Boxes: format conversions invert each other, and areas and overlaps equal counted squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.geometry.boxes import area, clip_boxes, iou_matrix, xywh_to_xyxy, xyxy_to_xywh
from centernet.structures import Array

numbers = st.floats(-1e4, 1e4, allow_nan=False)
box_lists = st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=8)
small_boxes = st.lists(st.tuples(*[st.integers(0, 12)] * 4), max_size=6)


def as_boxes(rows: list[tuple[float, ...]]) -> Array:
    return np.array(rows, np.float64).reshape(-1, 4)


@given(box_lists)
def test_the_two_box_formats_invert_each_other(rows: list[tuple[float, ...]]) -> None:
    boxes = as_boxes(rows)
    np.testing.assert_allclose(xyxy_to_xywh(xywh_to_xyxy(boxes)), boxes, atol=1e-8)
    np.testing.assert_allclose(xywh_to_xyxy(xyxy_to_xywh(boxes)), boxes, atol=1e-8)


def test_a_hand_computed_box_converts_and_the_input_stays() -> None:
    box = np.array([10, 20, 3, 4])
    assert xywh_to_xyxy(box).tolist() == [10, 20, 13, 24]
    assert box.tolist() == [10, 20, 3, 4]
    assert xywh_to_xyxy(box.astype(np.float32)).dtype == np.float32


@given(box_lists, st.integers(0, 500), st.integers(0, 500))
def test_clipped_boxes_lie_inside_and_boxes_inside_stay(rows: list[tuple[float, ...]], height: int, width: int) -> None:
    clipped = clip_boxes(as_boxes(rows), height=height, width=width)
    assert (clipped >= 0).all()
    assert (clipped[:, [0, 2]] <= width).all()
    assert (clipped[:, [1, 3]] <= height).all()
    np.testing.assert_array_equal(clip_boxes(clipped, height=height, width=width), clipped)


def test_clipping_at_each_side_and_outside() -> None:
    boxes = np.array([[-5.0, -6, 5, 6], [95, 45, 105, 55], [10, 10, 20, 20], [-9, -9, -1, -1]], np.float32)
    clipped = clip_boxes(boxes, height=50, width=100)
    assert clipped.tolist() == [[0, 0, 5, 6], [95, 45, 100, 50], [10, 10, 20, 20], [0, 0, 0, 0]]
    assert clipped.dtype == np.float32


def test_the_area_of_empty_and_swapped_boxes_is_zero() -> None:
    assert area(np.array([[0, 0, 3, 4], [2, 2, 2, 9], [5, 5, 1, 9], [9, 9, 1, 1]])).tolist() == [12, 0, 0, 0]
    assert area(np.empty((0, 4))).shape == (0,)


def counted_iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    def cells(box: tuple[int, ...]) -> set[tuple[int, int]]:
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    union = len(cells(a) | cells(b))
    return len(cells(a) & cells(b)) / union if union else 0.0


@given(small_boxes, small_boxes)
def test_iou_equals_counting_unit_squares(a: list[tuple[int, ...]], b: list[tuple[int, ...]]) -> None:
    found = iou_matrix(as_boxes(a), as_boxes(b))
    assert found.shape == (len(a), len(b))
    expected = np.array([[counted_iou(x, y) for y in b] for x in a]).reshape(len(a), len(b))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_iou_accepts_other_number_types(dtype: type) -> None:
    assert iou_matrix(np.array([[0, 0, 2, 2]], dtype), np.array([[1, 0, 3, 2]], dtype))[0, 0] == pytest.approx(1 / 3)
