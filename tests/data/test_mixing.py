"""Choices of mosaic, mixup and erasing: within their limits, and what they do to boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from centernet.data.augment import AugmentConfig
from centernet.data.mixing import (
    Company,
    ErasingConfig,
    MixupConfig,
    MosaicConfig,
    Rect,
    Tile,
    check_late,
    cut,
    draw_company,
    draw_holes,
    is_off,
    tile_matrix,
)
from centernet.errors import ConfigError
from centernet.geometry.affine import transform_points

HW = (60, 100)


def companies(count: int = 300, **sections: Any) -> list[Company]:
    rng = np.random.default_rng(0)
    given_sections = {"mosaic": None, "mixup": None, **sections}
    return [draw_company(rng, num_images=7, input_hw=HW, **given_sections) for _ in range(count)]


def test_four_tiles_cover_the_input_and_meet_in_a_point_between_the_limits() -> None:
    for company in companies(mosaic=MosaicConfig(probability=1, center=(0.3, 0.6), zoom=(0.4, 0.9))):
        covered = np.zeros(HW, int)
        for (left, top, right, bottom), zoom in company.tiles:
            covered[top:bottom, left:right] += 1
            assert 0.4 <= zoom <= 0.9
        assert (covered == 1).all()
        x, y = company.tiles[0].rect[2:]
        assert 30 <= x <= 60
        assert 18 <= y <= 36
        assert len(company.beside) == 3
        assert company.images == company.beside


def test_how_often_there_is_company_is_the_probability() -> None:
    drawn = companies(2000, mosaic=MosaicConfig(probability=0.3), mixup=MixupConfig(probability=0.6))
    assert np.mean([bool(company.tiles) for company in drawn]) == pytest.approx(0.3, abs=0.04)
    assert np.mean([company.over is not None for company in drawn]) == pytest.approx(0.6, abs=0.04)
    assert {image for company in drawn for image in company.images} == {*range(7)}
    assert companies(mosaic=MosaicConfig(probability=0)) == [Company()] * 300


@pytest.mark.parametrize(("alpha", "spread"), [(32.0, 0.0620), (1.0, 0.2887)])
def test_the_share_of_an_image_that_another_shines_through_is_a_half_more_or_less(alpha: float, spread: float) -> None:
    shares = np.array([company.share for company in companies(3000, mixup=MixupConfig(probability=1, alpha=alpha))])
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.std() == pytest.approx(spread, rel=0.05)  # of Beta(a, a): 1 / (2 sqrt(2a + 1))


def test_the_middle_of_an_image_is_in_the_middle_of_its_tile_at_its_zoom() -> None:
    matrix = tile_matrix(Tile(Rect(40, 10, 100, 60), 0.5), HW)
    np.testing.assert_allclose(transform_points(np.array([[50, 30], [60, 30]]), matrix), [[70, 35], [75, 35]])


def test_boxes_are_cut_at_the_tile_and_slivers_are_dropped() -> None:
    boxes = np.array([[10, 10, 30, 30], [45, 10, 55, 20], [28, 0, 48, 10], [60, 10, 80, 20], [45, 10, 45, 20], [40, 20, 30, 10]], float)
    kept, which = cut(boxes, Rect(20, 5, 50, 40), min_visible=0.5)
    assert which.tolist() == [True, True, True, False, False, False]
    np.testing.assert_array_equal(kept, [[20, 10, 30, 30], [45, 10, 50, 20], [28, 5, 48, 10]])
    assert cut(boxes, Rect(20, 5, 50, 40), min_visible=0.51)[1].tolist() == [False] * 6
    assert cut(np.zeros((0, 4)), Rect(0, 0, 5, 5), min_visible=0.5)[0].shape == (0, 4)


@given(
    boxes=st.lists(st.tuples(*[st.floats(-80, 160)] * 4), max_size=4),
    of=st.sampled_from(["image", "objects", "both"]),
    seed=st.integers(0, 99),
)
def test_holes_have_their_share_of_what_they_are_in_and_stay_inside(boxes: list[tuple[float, ...]], of: Any, seed: int) -> None:
    config = ErasingConfig(probability=1, of=of, area=(0.1, 0.3), aspect=(0.2, 5))
    array = np.array(boxes, float).reshape(-1, 4)
    holes = draw_holes(np.random.default_rng(seed), array, HW, config)
    height, width = HW
    inside = np.clip(array, 0, [width, height, width, height])
    regions = [*([(0, 0, width, height)] if of != "objects" else []), *(inside.tolist() if of != "image" else [])]
    assert len(holes) <= len(regions)
    for hole in holes:
        area = (hole.right - hole.left) * (hole.bottom - hole.top)
        assert any(
            x1 - 0.5 <= hole.left
            and y1 - 0.5 <= hole.top
            and hole.right <= x2 + 0.5
            and hole.bottom <= y2 + 0.5
            and abs(area - 0.2 * (x2 - x1) * (y2 - y1)) <= 0.1 * (x2 - x1) * (y2 - y1) + hole.right - hole.left + hole.bottom - hole.top + 1
            for x1, y1, x2, y2 in regions
        )


def test_every_region_is_erased_with_its_own_chance() -> None:
    boxes, rng = np.array([[0, 0, 50, 50], [20, 20, 90, 60]], float), np.random.default_rng(1)
    numbers = [len(draw_holes(rng, boxes, HW, ErasingConfig(probability=0.3, of="both"))) for _ in range(2000)]
    assert np.mean(numbers) == pytest.approx(0.9, abs=0.06)
    assert {*numbers} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("off_for_last", "num_epochs", "first_off"), [(0.1, 140, 126), (15, 140, 125), (0, 140, 140), (0.1, 4, 4), (0.1, 5, 4)]
)
def test_the_last_epochs_do_without(off_for_last: float, num_epochs: int, first_off: int) -> None:
    config = MosaicConfig(off_for_last=off_for_last)
    assert [epoch for epoch in range(num_epochs) if is_off(config, epoch, num_epochs)] == [*range(first_off, num_epochs)]
    assert not is_off(config, 10**6, None)
    assert is_off(None, 0, num_epochs)


def test_more_last_epochs_than_there_are_is_an_error_that_names_its_key() -> None:
    check_late(MixupConfig(off_for_last=9), 10, path="data.augment.mixup")
    with pytest.raises(ConfigError, match=r"^data\.augment\.mixup\.off_for_last: the last 10 of 10 epochs \(train\.epochs\) leave none"):
        check_late(MixupConfig(off_for_last=10), 10, path="data.augment.mixup")


@pytest.mark.parametrize(
    "text",
    [
        '{"mosaic": {"off_for_last": 1.5}}',
        '{"mosaic": {"zoom": [1.0, 0.5]}}',
        '{"mosaic": {"center": [0, 1]}}',
        '{"mixup": {"alpha": 0}}',
        '{"mixup": {"off_for_last": 1.5}}',
        '{"erasing": {"area": [0.5, 0.2]}}',
        '{"erasing": {"fill": "black"}}',
        '{"mirror": "none"}',
    ],
)
def test_sections_that_say_nothing_sensible_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AugmentConfig).validate_json(text, strict=True)
