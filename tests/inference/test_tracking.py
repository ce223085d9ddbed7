"""Objects keep their numbers from frame to frame; and what happens without the library."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from centernet.errors import ConfigError
from centernet.inference.tracking import Tracker, check_installed
from centernet.structures import Detections


def frame(*rows: tuple[float, float, int]) -> Detections:
    """Objects of 20 x 30 pixels: left, top, class id."""
    boxes = [(x, y, x + 20, y + 30) for x, y, _ in rows]
    return Detections(np.reshape(boxes, (-1, 4)), np.full(len(rows), 0.8), np.array([c for *_, c in rows], np.int64))


@pytest.fixture
def tracker() -> Tracker:
    pytest.importorskip("norfair")
    return Tracker(rate=10)


def test_moving_objects_keep_their_numbers_whatever_their_order(tracker: Tracker) -> None:
    expected = tracker.update(frame((0, 0, 0), (100, 50, 1))).tolist()
    assert sorted(expected) == [1, 2], "from the first frame on"
    for t in range(1, 12):
        a, b = (4.0 * t, 2.0 * t, 0), (100 - 3.0 * t, 50.0, 1)
        ids = tracker.update(frame(a, b) if t % 2 else frame(b, a))
        assert ids.dtype == np.int64
        assert sorted(ids) == [1, 2]
        first = ids if t % 2 else ids[::-1]
        assert first.tolist() == expected


def test_an_object_that_is_missed_for_a_moment_is_known_again(tracker: Tracker) -> None:
    for t in range(8):
        (before,) = tracker.update(frame((3.0 * t, 0, 0)))
    for _ in range(2):
        assert tracker.update(frame()).shape == (0,)
    (after,) = tracker.update(frame((30.0, 0, 0)))
    assert before == after == 1


def test_an_object_that_was_away_for_long_is_a_new_one(tracker: Tracker) -> None:
    for t in range(8):
        tracker.update(frame((3.0 * t, 0, 0)))
    for _ in range(20):
        tracker.update(frame())
    tracker.update(frame((24.0, 0, 0)))
    assert tracker.update(frame((27.0, 0, 0))).tolist() == [2]


def test_objects_of_different_classes_in_one_place_are_two(tracker: Tracker) -> None:
    for _ in range(3):
        ids = tracker.update(frame((10, 10, 0), (11, 10, 1)))
    assert sorted(ids) == [1, 2]


def test_numbers_start_anew_with_every_video() -> None:
    pytest.importorskip("norfair")
    for _ in range(2):
        tracker = Tracker(rate=30)
        tracker.update(frame((0, 0, 0)))
        assert tracker.update(frame((1, 0, 0))).tolist() == [1]


def test_boxes_without_an_area_or_with_swapped_corners_do_no_harm(tracker: Tracker) -> None:
    odd = Detections([[5, 5, 5, 5], [30, 30, 10, 10]], [0.5, 0.5], [0, 0])
    for _ in range(3):
        assert tracker.update(odd).shape == (2,)


def test_without_the_library_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "norfair", None)
    for start in (check_installed, lambda: Tracker(rate=10)):
        with pytest.raises(ConfigError, match=r"--track needs the package norfair .*pip install 'norfair>=2.3,<3'"):
            start()
