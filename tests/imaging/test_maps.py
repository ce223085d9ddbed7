"""Maps of numbers as colours, with scales that can be read."""

from __future__ import annotations

import numpy as np
import pytest

from centernet.imaging.maps import number_maps
from centernet.structures import Array


def ramp(height: int = 8, width: int = 8) -> Array:
    return np.tile(np.linspace(2, 5, width, dtype=np.float32), (height, 1))


def test_maps_stand_side_by_side_each_with_a_scale() -> None:
    image = np.full((256, 200, 3), 90, np.uint8)
    picture = number_maps(image, np.stack([ramp(), ramp().T]), ["x", "y"], title="offset")
    assert picture.dtype == np.uint8
    assert picture.shape[0] > 256 + 40
    assert picture.shape[1] > 2 * 200
    assert (image == 90).all()
    assert number_maps(image, ramp()[None], ["x"]).shape[1] < picture.shape[1]


def brightness(picture: Array) -> Array:
    """Of the middle row of the only map in a picture without title, (width,)."""
    margin = 14
    row = picture[picture.shape[0] // 2, margin : margin + 256].astype(float)
    return np.asarray(row.mean(axis=1))


def test_higher_numbers_are_lighter() -> None:
    picture = number_maps(np.zeros((256, 256, 3), np.uint8), ramp()[None], ["x"], theme="black")
    level = brightness(picture)[8:-8:16]
    assert (np.diff(level) > -3).all()
    assert level[-1] > level[0] + 40


def test_only_places_that_matter_have_full_colour_and_set_the_scale() -> None:
    numbers, weight = ramp(), np.zeros((8, 8), np.float32)
    numbers[:, 0] = 1e6  # noise where nothing is
    weight[:, 4:] = 1
    image = np.full((256, 256, 3), 255, np.uint8)
    picture = number_maps(image, numbers[None], ["x"], weight=weight)
    row = picture[picture.shape[0] // 2, 14 : 14 + 256].astype(int)
    saturation = row.max(axis=1) - row.min(axis=1)
    assert saturation[160:].min() > 60
    assert saturation[:64].max() < 50
    assert len(np.unique(row[160:].argmax(axis=1))) > 1, "the noise does not squeeze the rest into one colour"


@pytest.mark.parametrize("theme", ["white", "black"])
def test_maps_without_any_difference_or_weight_are_drawn(theme: str) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    picture = number_maps(image, np.ones((1, 4, 4), np.float32), ["x"], weight=np.zeros((4, 4)), theme=theme)  # type: ignore[arg-type]
    assert (picture[0, 0] == (255 if theme == "white" else 24)).all()
