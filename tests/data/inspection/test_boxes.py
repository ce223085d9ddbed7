"""Mistakes in boxes, each made on purpose among sound ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from centernet.data.datasets.base import DetectionDataset
from centernet.data.inspection.boxes import Boxes, problems
from centernet.data.inspection.problems import Problem
from centernet.structures import Grid

Make = Callable[..., DetectionDataset]
GRID = Grid(64, 64)  # an image of 48x64 lies in its middle, pixel for pixel
SOUND = [(0, 0, (4.0, 4.0, 24.0, 24.0)), (1, 1, (30.0, 8.0, 60.0, 40.0))]


def found(
    dataset: DetectionDataset, *, grid: Grid = GRID, split: str = "train", max_objects: int | None = 128, k: int = 100
) -> dict[str, Problem]:
    sizes = np.array([[48, 64]] * len(dataset))
    return {problem.code: problem for problem in problems(Boxes(split, dataset, sizes, grid), max_objects=max_objects, k=k)}


def rows(problem: Problem) -> list[int]:
    return [row for offender in problem.offenders for row in offender.objects]


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ((10, 10, 10, 30), "empty-boxes"),
        ((30, 10, 10, 30), "empty-boxes"),
        ((70, 10, 90, 30), "outside-boxes"),
        ((10, -30, 30, -5), "outside-boxes"),
        ((50, 10, 90, 30), "crossing-boxes"),
        ((10, 10, 13, 40), "tiny-boxes"),
    ],
)
def test_a_wrong_box_is_found_and_nothing_else(make: Make, box: tuple[float, ...], code: str) -> None:
    assert found(make(["a.png", "b.png"], SOUND)) == {}
    dataset = make(["a.png", "b.png"], [*SOUND, (1, 0, box)])
    ((name, problem),) = found(dataset).items()
    assert name == code
    assert (problem.count, problem.total, rows(problem)) == (1, 3, [2])
    assert problem.severity == "error"  # a third of all
    assert problem.examples == (f"{dataset.name(1)}: cat ({', '.join(f'{value:g}' for value in box)})",)


def test_a_box_that_reaches_a_little_over_the_edge_is_sound(make: Make) -> None:
    assert found(make(["a.png"], [(0, 0, (20, 10, 65, 30))])) == {}


def test_what_is_rare_is_a_warning(make: Make) -> None:
    sound = [(image, 0, (4.0, 4.0, 24.0, 24.0)) for image in range(150)]
    assert found(make(["a.png"] * 151, [*sound, (150, 0, (9, 9, 9, 9))]))["empty-boxes"].severity == "warning"


def test_an_object_that_is_annotated_twice_is_no_collision(make: Make) -> None:
    (problem,) = found(make(["a.png", "b.png"], [*SOUND, SOUND[1]])).values()
    assert (problem.code, rows(problem)) == ("repeated-boxes", [2])


@pytest.mark.parametrize(("class_id", "code"), [(0, "merged-centers"), (1, "shared-centers")])
def test_centres_in_one_cell_collide_as_in_the_targets(make: Make, class_id: int, code: str) -> None:
    same_cell = (0, class_id, (7.0, 7.0, 22.0, 22.0))  # centre (14.5, 14.5) beside (14, 14)
    (problem,) = found(make(["a.png", "b.png"], [SOUND[0], same_cell, SOUND[1]])).values()
    assert problem.code == code
    assert (problem.count, rows(problem)) == (1, [0, 1])  # both are drawn
    apart = (0, class_id, (11.0, 7.0, 26.0, 22.0))
    assert found(make(["a.png", "b.png"], [SOUND[0], apart, SOUND[1]])) == {}


def test_a_smaller_input_makes_more_collisions_and_tiny_boxes(make: Make) -> None:
    objects = [(0, 0, (4.0, 4.0, 14.0, 14.0)), (0, 0, (9.0, 4.0, 19.0, 14.0))]
    dataset = make(["a.png"], objects)
    assert found(dataset) == {}
    assert {"tiny-boxes", "merged-centers"} <= set(found(dataset, grid=Grid(16, 16)))


def test_objects_beyond_the_slots_are_errors(make: Make) -> None:
    objects = [(0, 0, (5.0 * i, 4.0, 5.0 * i + 5, 24.0)) for i in range(8)] + [(1, *SOUND[1][1:])]
    dataset = make(["a.png", "b.png"], objects)
    problem = found(dataset, max_objects=6)["too-many-objects"]
    assert (problem.severity, problem.count, rows(problem), problem.cure) == ("error", 2, [6, 7], "task.max_objects: 8")
    assert "too-many-objects" not in found(dataset, max_objects=None)
    assert found(dataset, split="val", k=5)["too-few-detections"].cure == "test.k: 8"
    assert "too-few-detections" not in found(dataset, k=5)  # only where AP is measured


def test_objects_that_are_not_trained_on_and_images_that_cannot_be_read_do_not_count(make: Make) -> None:
    dataset = make(["a.png", "b.png"], [*SOUND, (1, 0, (9, 9, 9, 9))])
    crowd = replace(dataset, annotations=replace(dataset.annotations, is_crowd=np.array([False, False, True])), keep_crowd=False)
    assert found(crowd) == {}
    unread = Boxes("train", dataset, np.array([[48, 64], [0, 0]]), GRID)
    assert list(problems(unread, max_objects=128, k=100)) == []


def test_cells_are_those_of_the_whole_image_in_the_input(make: Make) -> None:
    boxes = Boxes("train", make(["a.png"], [(0, 0, (0, 0, 64, 48))]), np.array([[48, 64]]), Grid(128, 128))
    np.testing.assert_allclose(boxes.in_cells, [[0, 4, 31, 28]])  # clipped to the last cell, as targets are
    assert boxes.is_target.tolist() == [True]


def test_without_objects_there_is_nothing_to_find(make: Make) -> None:
    assert found(make(["a.png"])) == {}
