"""Letters in pictures."""

from __future__ import annotations

import numpy as np
import pytest

from centernet.imaging.text import line_height, put_text, shortened, text_width


@pytest.mark.parametrize("size", [10, 16, 60])
def test_text_stays_within_the_width_and_height_it_announces(size: int) -> None:
    image = np.zeros((200, 800, 3), np.uint8)
    put_text(image, "Ägypten gjpqy 0.95", (30, 20), size=size, color=(10, 200, 30))
    rows, columns = np.nonzero(image.any(axis=2))
    assert 20 <= rows.min() <= rows.max() < 20 + line_height(size)
    assert 29 <= columns.min() <= columns.max() <= 30 + text_width("Ägypten gjpqy 0.95", size)
    assert (image.reshape(-1, 3).max(axis=0) == (10, 200, 30)).all()


@pytest.mark.parametrize("corner", [(-15, -6), (90, 45), (500, 10), (10, 500), (-500, 10)])
def test_text_over_the_edge_is_cut_off(corner: tuple[int, int]) -> None:
    image, large = np.zeros((50, 100, 3), np.uint8), np.zeros((1100, 1300, 3), np.uint8)
    put_text(image, "edge", corner, size=20, color=(255, 255, 255))
    put_text(large, "edge", (corner[0] + 600, corner[1] + 500), size=20, color=(255, 255, 255))
    np.testing.assert_array_equal(image, large[500:550, 600:700])


def test_a_long_line_is_shortened_until_it_fits() -> None:
    assert shortened("short", 12, width=100) == "short"
    text = shortened("a rather long line of text", 12, width=80)
    assert text.endswith("…")
    assert text_width(text, 12) <= 80
    assert shortened("word", 12, width=1) == ""


def test_empty_text_draws_nothing() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    put_text(image, "", (0, 0), size=12, color=(255, 255, 255))
    assert not image.any()
