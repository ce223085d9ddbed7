from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from centernet.structures import Array, ClassTable, Detections, Grid, Sample
from centernet.tasks import ctdet
from centernet.tasks.base import Task

GRID = Grid(64, 64, 4)
OBJECTS = Sample(
    image=np.zeros((64, 64, 3), np.uint8), boxes=np.array([[4, 4, 23, 31], [30, 34, 57, 52]], float), class_ids=np.array([0, 1])
)
PEAKS = {0: (3, 4), 1: (10, 10)}  # class -> the cell (x, y) of its object's centre


def make(**boxes: Any) -> Task:
    config = TypeAdapter(ctdet.Config).validate_python({"boxes": boxes})
    return ctdet.build(config, ClassTable(("a", "b")), layout="nchw")


def found_at(task: Task, class_id: int, cell: tuple[int, int]) -> Detections:
    """What a network detects whose one peak is in this cell, all else being perfect."""
    perfect = task.oracles(OBJECTS, GRID)
    heatmap = np.full_like(perfect["heatmap"]["heatmap"], -30.0)
    heatmap[0, class_id, cell[1], cell[0]] = 5.0
    rest: dict[str, Array] = {head: maps for part in perfect.values() for head, maps in part.items()}
    (found,) = task.decode({**rest, "heatmap": heatmap}, k=1, grid=GRID)
    return found


@pytest.mark.parametrize("form", ["size", "ltrb"])
@pytest.mark.parametrize("away", [(0, 0), (1, 0), (-1, 1), (2, -2)])
def test_a_peak_anywhere_in_a_box_is_given_that_box(form: str, away: tuple[int, int]) -> None:
    for class_id, (x, y) in PEAKS.items():
        found = found_at(make(form=form), class_id, (x + away[0], y + away[1]))
        np.testing.assert_allclose(found.boxes[0], OBJECTS.boxes[class_id], atol=1e-4)


@pytest.mark.parametrize("form", ["size", "ltrb"])
def test_a_peak_outside_of_all_boxes_keeps_its_place_and_has_the_nearest_ones_size(form: str) -> None:
    (box,) = found_at(make(form=form), 0, (13, 4)).boxes
    np.testing.assert_allclose(box[2:] - box[:2], [27, 18], atol=1e-4)  # of the second object, which is six cells away
    middle = (box[:2] + box[2:]) / 8
    assert (np.abs(middle - [13.5, 4.5]) <= 0.5).all()


def test_sizes_of_every_class_are_those_of_the_nearest_object_whatever_its_class() -> None:
    for class_id in (0, 1):
        np.testing.assert_allclose(found_at(make(per_class=True), class_id, PEAKS[0]).boxes[0], OBJECTS.boxes[0], atol=1e-4)


def test_a_perfect_heatmap_is_certain_of_the_centres_and_has_no_other_peaks_that_would_be_detections() -> None:
    task = make()
    perfect = task.oracles(OBJECTS, GRID)
    (heatmap,) = perfect["heatmap"]["heatmap"]
    assert {(int(c), (int(x), int(y))) for c, y, x in np.argwhere(heatmap > 0)} == set(PEAKS.items())
    (found,) = task.decode({head: maps for part in perfect.values() for head, maps in part.items()}, k=50, grid=GRID)
    assert (found.scores > 0).sum() == 2
