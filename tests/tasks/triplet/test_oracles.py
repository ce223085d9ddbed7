from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter

from centernet.structures import Array, ClassTable, Detections, Grid, Sample
from centernet.tasks import triplet
from centernet.tasks.base import Task

GRID = Grid(64, 64, 4)
OBJECTS = Sample(
    image=np.zeros((64, 64, 3), np.uint8), boxes=np.array([[5, 6, 23, 31], [30, 34, 57, 53]], float), class_ids=np.array([0, 0])
)
TOP_LEFT, BOTTOM_RIGHT, CENTER = (1, 1), (5, 7), (3, 4)  # cells (x, y) of the first object's keypoints


@pytest.fixture
def task() -> Task:
    config = TypeAdapter(triplet.Config).validate_python({})
    return triplet.build(config, ClassTable(("a",)), layout="nchw")


def found(task: Task, **peaks: tuple[int, int]) -> Detections:
    """What a network detects that has one peak in each heatmap, in these cells, all else being perfect."""
    perfect = task.oracles(OBJECTS, GRID)
    answer: dict[str, Array] = {head: maps for part in perfect.values() for head, maps in part.items()}
    for point, (x, y) in peaks.items():
        answer[f"{point}_heat"] = np.full_like(answer[f"{point}_heat"], -30.0)
        answer[f"{point}_heat"][0, 0, y, x] = 5.0
    (detections,) = task.decode(answer, k=5, grid=GRID)
    return detections.above(0.7)  # a corner and a centre without the other corner have two thirds


def test_corners_that_are_a_cell_off_make_the_pair_and_the_very_box(task: Task) -> None:
    for tl, br in [(TOP_LEFT, BOTTOM_RIGHT), ((2, 1), (5, 6)), ((1, 2), (4, 7))]:
        np.testing.assert_allclose(found(task, tl=tl, br=br, ct=CENTER).boxes, OBJECTS.boxes[:1], atol=1e-3)


def test_corners_of_two_objects_and_corners_on_the_background_make_no_pair(task: Task) -> None:
    assert len(found(task, tl=TOP_LEFT, br=(14, 13))) == 0  # the second object's
    assert len(found(task, tl=TOP_LEFT, br=(14, 2))) == 0
    assert len(found(task, tl=(10, 1), br=(14, 2))) == 0


def test_what_is_perfect_is_told_apart_by_what_it_says(task: Task) -> None:
    parts = {name: sorted(heads) for name, heads in task.oracles(OBJECTS, GRID).items()}
    assert parts == {
        "corners": ["br_heat", "tl_heat"],
        "centers": ["ct_heat"],
        "embeddings": ["br_tag", "tl_tag"],
        "offsets": ["br_regr", "ct_regr", "tl_regr"],
    }
