"""Radius and peak of an object in a heatmap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.geometry.boxes import iou_matrix
from centernet.geometry.gaussian import Elliptic, Fixed, draw_gaussian, gaussian_radius, gaussian_radius_fixed

sides = st.floats(0.1, 300)
overlaps = st.sampled_from([0.3, 0.5, 0.7, 0.9])


def test_the_radius_of_a_hand_computed_square() -> None:
    # sides 10, overlap 0.7; the smallest of the reference's three roots is (-28 + sqrt(28^2 + 4*2.8*0.3*100)) / 2
    assert gaussian_radius(10, 10) == pytest.approx((-28 + math.sqrt(28**2 + 4 * 2.8 * 30)) / 2)


@given(sides, sides, overlaps)
def test_corners_moved_by_the_fixed_radius_keep_the_overlap(height: float, width: float, overlap: float) -> None:
    r = gaussian_radius_fixed(height, width, overlap)
    moved = np.array([[r, r, width + r, height + r], [r, r, width - r, height - r], [-r, -r, width + r, height + r]])
    found = iou_matrix(np.array([[0, 0, width, height]]), moved)[0]
    assert found.min() == pytest.approx(overlap, abs=1e-6)


@pytest.mark.parametrize("radius_of", [gaussian_radius, gaussian_radius_fixed])
@given(height=sides, width=sides)
def test_the_radius_grows_with_the_box_and_does_not_depend_on_its_orientation(radius_of, height: float, width: float) -> None:  # type: ignore[no-untyped-def]
    radius = radius_of(height, width)
    assert radius >= 0
    assert radius == pytest.approx(radius_of(width, height), abs=1e-9)
    assert radius_of(2 * height, 2 * width) == pytest.approx(2 * radius, rel=1e-6)


def test_a_box_without_area_has_radius_zero() -> None:
    assert gaussian_radius(0, 10) == pytest.approx(0, abs=1e-9)
    assert gaussian_radius_fixed(0, 10) == pytest.approx(0, abs=1e-9)


@given(st.integers(-6, 14), st.integers(-6, 12), st.integers(0, 9), st.sampled_from([5.0, 6.0]))
def test_a_drawn_peak_equals_the_formula_cell_by_cell(x: int, y: int, radius: int, sigmas: float) -> None:
    heatmap = np.full((8, 10), 0.25, np.float32)
    draw_gaussian(heatmap, (x, y), radius, sigmas=sigmas)
    sigma = (2 * radius + 1) / sigmas
    for row in range(8):
        for column in range(10):
            value = math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2)) if max(abs(column - x), abs(row - y)) <= radius else 0
            assert heatmap[row, column] == pytest.approx(max(0.25, value), abs=1e-6)


def test_a_peak_is_six_sigmas_wide_unless_told_otherwise() -> None:
    plain, told = np.zeros((2, 9, 9), np.float32)
    draw_gaussian(plain, (4, 4), 3)
    draw_gaussian(told, (4, 4), 3, sigmas=6)
    np.testing.assert_array_equal(plain, told)


def test_the_centre_is_exactly_one_and_overlapping_peaks_keep_the_higher_value() -> None:
    both, one, other = np.zeros((3, 20, 20), np.float32)
    draw_gaussian(both, (5, 5), 4)
    draw_gaussian(both, (7, 6), 3)
    draw_gaussian(one, (5, 5), 4)
    draw_gaussian(other, (7, 6), 3)
    assert both[5, 5] == both[6, 7] == 1
    np.testing.assert_array_equal(both, np.maximum(one, other))


def test_a_peak_is_drawn_into_one_channel_of_a_channel_last_map() -> None:
    heatmaps = np.zeros((6, 7, 3), np.float32)
    draw_gaussian(heatmaps[..., 1], (2, 3), 1)
    assert heatmaps[3, 2, 1] == 1
    assert not heatmaps[..., [0, 2]].any()


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(ValueError, match="radius is -1"):
        draw_gaussian(np.zeros((3, 3), np.float32), (1, 1), -1)


@given(st.integers(-6, 14), st.integers(-6, 12), st.integers(0, 7), st.integers(0, 7))
def test_an_ellipse_equals_the_formula_cell_by_cell(x: int, y: int, across: int, down: int) -> None:
    heatmap = np.full((8, 10), 0.25, np.float32)
    draw_gaussian(heatmap, (x, y), (across, down))
    for row, column in np.ndindex(8, 10):
        parts = [(column - x) / (2 * across + 1), (row - y) / (2 * down + 1)]
        is_inside = abs(column - x) <= across and abs(row - y) <= down
        value = math.exp(-18 * sum(part**2 for part in parts)) if is_inside else 0
        assert heatmap[row, column] == pytest.approx(max(0.25, value), abs=1e-6)


def test_an_ellipse_of_equal_radii_is_the_round_peak() -> None:
    for radius in range(6):
        one, other = np.zeros((2, 9, 12), np.float32)
        draw_gaussian(one, (4, 3), radius)
        draw_gaussian(other, (4, 3), (radius, radius))
        np.testing.assert_array_equal(one, other)


def test_radii_of_ellipses_and_fixed_peaks() -> None:
    assert Elliptic(0.5).radii(10, 20) == (5, 2)  # 2.5 is truncated
    assert Elliptic().radii(0.1, 40) == (10, 0)
    assert Fixed(3).radii(100, 1) == (3, 3)


@pytest.mark.parametrize("radius", [(-1, 2), (2, -1)])
def test_a_negative_radius_of_an_ellipse_is_refused(radius: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected >= 0"):
        draw_gaussian(np.zeros((4, 4)), (1, 1), radius)
