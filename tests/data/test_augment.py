from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from centernet.data.augment import AugmentConfig, crop_border, sample_color, sample_geometry
from centernet.geometry.affine import transform_points

STILL = AugmentConfig(random_crop=False, shift=0, scale=0, flip=0, color=False)


def _extent(matrix: np.ndarray, input_width: int) -> float:
    """Side of the square that fills the input's width, in image pixels."""
    return float(input_width / np.hypot(matrix[0, 0], matrix[1, 0]))


def _views(config: AugmentConfig, image_hw: tuple[int, int], count: int = 400) -> list[tuple[np.ndarray, bool]]:
    rng = np.random.default_rng(0)
    return [sample_geometry(rng, image_hw, (128, 128), config) for _ in range(count)]


def test_with_everything_off_the_whole_image_is_centred() -> None:
    matrix, is_flipped = sample_geometry(np.random.default_rng(0), (60, 100), (200, 200), STILL)
    assert not is_flipped
    np.testing.assert_allclose(matrix, [[2, 0, 0], [0, 2, 40]])


def test_random_crops_have_one_of_the_eight_sizes_and_a_middle_inside_the_borders() -> None:
    height, width = 300, 500
    views = _views(AugmentConfig(flip=0), (height, width))
    extents = {round(_extent(matrix, 128) / width, 6) for matrix, _ in views}
    assert extents == {0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3}
    centers = np.array([np.linalg.solve(matrix[:, :2], [64, 64] - matrix[:, 2]) for matrix, _ in views])
    np.testing.assert_allclose(centers, np.rint(centers), atol=1e-6)  # whole pixels
    centers = np.rint(centers)
    assert centers.min(axis=0).tolist() == pytest.approx([128, 128], abs=4)
    assert centers.max(axis=0).tolist() == pytest.approx([width - 129, height - 129], abs=4)
    assert (centers >= 128).all()
    assert (centers < [width - 128, height - 128]).all()


def test_random_crops_of_the_inputs_size_see_an_object_at_about_its_own_size_in_any_image() -> None:
    for image_hw in ((300, 500), (1000, 700), (40, 60)):
        views = _views(AugmentConfig(flip=0, crop_of="input"), image_hw)
        extents = {round(_extent(matrix, 128) / 128, 6) for matrix, _ in views}
        assert extents == {0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3}


@pytest.mark.parametrize(
    ("side", "expected"), [(1000, 128), (257, 128), (256, 64), (129, 64), (128, 32), (65, 32), (64, 16), (3, 1), (2, 0), (1, 0)]
)
def test_the_border_is_halved_until_two_of_them_leave_something_between(side: int, expected: int) -> None:
    assert crop_border(side, 128) == expected


@given(height=st.integers(1, 700), width=st.integers(1, 700), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_any_image_however_small_can_be_cropped(height: int, width: int, seed: int) -> None:
    matrix, _ = sample_geometry(np.random.default_rng(seed), (height, width), (64, 96), AugmentConfig())
    assert np.isfinite(matrix).all()
    assert abs(np.linalg.det(matrix[:, :2])) > 0


def test_without_crops_the_middle_moves_and_the_size_varies_within_the_limits() -> None:
    height, width = 300, 500
    views = _views(AugmentConfig(random_crop=False, flip=0), (height, width))
    extents = np.array([_extent(matrix, 128) for matrix, _ in views]) / width
    assert 0.6 - 1e-9 <= extents.min() < 0.62
    assert 1.38 < extents.max() <= 1.4 + 1e-9
    centers = np.array([np.linalg.solve(matrix[:, :2], [64, 64] - matrix[:, 2]) for matrix, _ in views])
    moved = (centers - [width / 2, height / 2]) / width
    assert 0.19 < np.abs(moved).max() <= 0.2 + 1e-9
    assert moved.std() == pytest.approx(0.1, abs=0.01)


def test_a_mirrored_view_is_the_view_of_the_mirrored_image() -> None:
    points = np.array([[0.0, 0.0], [99.0, 20.0], [30.0, 59.0]])
    for seed in range(20):
        plain, flipped = (
            sample_geometry(np.random.default_rng(seed), (60, 100), (128, 128), AugmentConfig(random_crop=False, shift=0.0, flip=flip))
            for flip in (0.0, 1.0)
        )
        assert (plain[1], flipped[1]) == (False, True)
        mirrored = np.column_stack([99 - points[:, 0], points[:, 1]])
        scale = plain[0][0, 0]
        # The window's middle, 50, goes to 99 - 50 in the mirrored image: one pixel beside its middle, in the predecessor as here.
        expected = transform_points(mirrored, plain[0])
        expected[:, 0] += scale
        np.testing.assert_allclose(transform_points(points, flipped[0]), expected)


def test_half_of_the_views_are_mirrored() -> None:
    flipped = [is_flipped for _, is_flipped in _views(AugmentConfig(), (300, 300))]
    assert 0.42 < np.mean(flipped) < 0.58
    assert all((matrix[0, 0] < 0) == is_flipped for matrix, is_flipped in _views(AugmentConfig(), (300, 300), 50))


def test_rotation_stays_within_its_angle_and_probability() -> None:
    config = AugmentConfig(random_crop=False, flip=0, rotation_degrees=30, rotation_probability=0.5)
    angles = np.array([np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) for matrix, _ in _views(config, (300, 300))])
    assert 25 < np.abs(angles).max() <= 30
    assert 0.4 < (angles == 0).mean() < 0.6


def test_colour_steps_come_in_any_order_with_factors_within_the_limits() -> None:
    rng = np.random.default_rng(0)
    config = AugmentConfig(brightness=0.1, contrast=0.2, saturation=0.3)
    changes = [sample_color(rng, config) for _ in range(300)]
    assert len({tuple(name for name, _ in change.steps) for change in changes}) == 6
    for name, limit in (("brightness", 0.1), ("contrast", 0.2), ("saturation", 0.3)):
        factors = np.array([dict(change.steps)[name] for change in changes])
        assert 0.9 * limit < np.abs(factors - 1).max() <= limit


def test_lighting_varies_along_the_principal_components() -> None:
    config = AugmentConfig()
    rng = np.random.default_rng(0)
    lights = np.array([sample_color(rng, config).lighting for _ in range(4000)])
    vectors = np.array(config.eigen_vectors)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-3)
    along = lights @ vectors
    np.testing.assert_allclose(along.std(axis=0), 0.1 * np.array(config.eigen_values), rtol=0.05)


def test_without_colour_nothing_happens_to_it() -> None:
    change = sample_color(np.random.default_rng(0), STILL)
    assert change.steps == ()
    assert change.lighting == (0, 0, 0)


def test_the_same_generator_state_gives_the_same_view() -> None:
    first, second = (sample_geometry(np.random.default_rng((1, 2, 3)), (50, 60), (64, 64), AugmentConfig())[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "text", ['{"flip": 1.5}', '{"brightness": -0.1}', '{"crop_scales": []}', '{"crop_scales": [0]}', '{"rotate": 1}', '{"scale": 1}']
)
def test_numbers_out_of_range_and_unknown_keys_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AugmentConfig).validate_json(text, strict=True)
