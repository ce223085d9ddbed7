from __future__ import annotations

import numpy as np
import pytest

from centernet.experiment.agreement import Tolerance, candidates, nearest_differences
from centernet.structures import ClassTable, Detections, Grid
from centernet.tasks import ctdet
from centernet.tasks.ctdet.config import BoxesConfig

EXACT = Tolerance(maps=1e-3, boxes=0.05, scores=1e-3, apart=0.0, lowest=1e-4)
BOXES = [[0, 0, 20, 10], [50, 50, 90, 80], [5, 5, 9, 9]]


def detections(boxes=BOXES, scores=(0.9, 0.6, 0.3), class_ids=(0, 1, 1)) -> Detections:
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(class_ids), ("a", "b"))


def test_equal_lists_do_not_differ_whatever_their_order() -> None:
    turned = detections(BOXES[::-1], (0.3, 0.6, 0.9), (1, 1, 0))
    assert nearest_differences(detections(), turned, EXACT) == (0.0, 0.0, 2, 0)  # the last may have been pushed out


def test_the_largest_differences_are_found() -> None:
    moved = np.array(BOXES, np.float32)
    moved[1, 2] += 3
    boxes, scores, compared, apart = nearest_differences(detections(), detections(moved, (0.9, 0.65, 0.1)), EXACT)
    assert (boxes, compared, apart) == (3.0, 3, 1)
    assert scores == pytest.approx(0.2)


@pytest.mark.parametrize("other", [detections(class_ids=(1, 1, 1)), detections([[0, 0, 20, 31], *BOXES[1:]])])
def test_another_class_or_a_box_too_far_away_is_no_counterpart(other) -> None:
    boxes, _, _, apart = nearest_differences(detections(), other, EXACT)
    assert (boxes, apart) == (0.0, 1)


def test_an_empty_side_lacks_everything_the_other_has() -> None:
    nothing = detections([], (), ())
    assert nearest_differences(detections(), nothing, EXACT) == (0.0, 0.0, 3, 3)
    assert nearest_differences(nothing, detections(), EXACT) == (0.0, 0.0, 0, 0)


@pytest.mark.parametrize("what", ["boxes", "scores", "both"])
def test_what_is_not_a_number_is_apart(what: str) -> None:
    boxes, scores = np.full((3, 4), np.nan), np.full(3, np.nan)
    broken = detections(BOXES if what == "scores" else boxes, (0.9, 0.6, 0.3) if what == "boxes" else scores)
    for one, other in ((detections(), broken), (broken, detections())):
        difference, score_difference, compared, apart = nearest_differences(one, other, EXACT)
        assert (difference, score_difference) == (0.0, 0.0)
        assert compared == apart > 0


def test_places_without_an_object_are_not_looked_at() -> None:
    assert nearest_differences(detections(scores=(0.9, 0.0, 0.0)), detections([BOXES[0]], (0.9,), (0,)), EXACT)[2:] == (1, 0)


def test_boxes_of_negative_size_have_counterparts_too() -> None:
    """An untrained network answers with them."""
    inside_out = detections([[10, 10, 8, 7]], (0.5,), (0,))
    assert nearest_differences(inside_out, detections([[10, 10, 8, 7], [90, 90, 80, 80]], (0.5, 0.1), (0, 0)), EXACT) == (0.0, 0.0, 1, 0)


def test_weak_detections_beyond_the_ten_best_are_left_out() -> None:
    grid = [[40 * i, 0, 40 * i + 10, 10] for i in range(14)]
    many = detections(grid, np.linspace(0.9, 0.25, 14), np.zeros(14, int))
    for lowest, compared in ((0.3, 13), (0.8, 10), (0.1, 14)):
        tolerance = Tolerance(maps=1, boxes=1, scores=0.03, apart=0, lowest=lowest)
        assert nearest_differences(many, detections([], (), ()), tolerance)[2] == compared


def test_nothing_is_left_out_where_the_other_side_is_complete() -> None:
    one, possible = detections([BOXES[1]], (0.9,), (1,)), detections(scores=(0.9, 0.9, 0.9))
    assert nearest_differences(one, possible, EXACT) == (0.0, 0.0, 0, 0), "the list of one may have pushed it out"
    assert nearest_differences(one, possible, EXACT, is_complete=True) == (0.0, 0.0, 1, 0)
    grown = detections(np.array([BOXES[1]]) * 1.5, (0.9,), (1,))
    assert nearest_differences(grown, possible, EXACT, is_complete=True)[2:] == (1, 1)


def test_of_boxes_that_are_near_enough_one_with_an_equal_score_is_the_counterpart() -> None:
    coarse = Tolerance(maps=1, boxes=16, scores=0.15, apart=0, lowest=0.3)
    near = [[0, 0, 20, 10], [3, 0, 23, 10]]
    one = detections([[2, 0, 22, 10]], (0.9,), (0,))
    boxes, scores, *_ = nearest_differences(one, detections(near, (0.85, 0.01), (0, 0)), coarse, is_complete=True)
    assert (boxes, scores) == (2.0, pytest.approx(0.05))
    boxes, scores, *_ = nearest_differences(one, detections(near, (0.5, 0.01), (0, 0)), coarse, is_complete=True)
    assert (boxes, scores) == (1.0, pytest.approx(0.89)), "none is: the nearest"


@pytest.mark.parametrize("form", ["size", "ltrb"])
def test_an_equal_network_may_answer_with_every_maximum_and_near_it(form: str) -> None:
    task = ctdet.build(ctdet.Config(boxes=BoxesConfig(form=form)), ClassTable(("a", "b"), (1, 2)), layout="nchw")
    rng = np.random.default_rng(0)
    raw = {name: rng.normal(size=(1, head.channels, 9, 12)).astype(np.float32) for name, head in task.heads.items()}
    raw["heatmap"][0, 1, 4:7, 4:8] = 3 + 1e-6 * rng.normal(size=(3, 4))  # a plateau, rounded
    grid = Grid(36, 48)
    found = candidates(task, raw, EXACT, grid=grid)
    (maxima,) = task.decode(raw, k=30, grid=grid)
    assert nearest_differences(maxima, found, EXACT, is_complete=True) == (0.0, 0.0, int((maxima.scores > 1e-4).sum()), 0)
    assert (found.scores > 0.95).sum() == 12, "each cell of the plateau"
    assert len(found) < 9 * 12

    flat = {**raw, "heatmap": np.full_like(raw["heatmap"], -2.19)}
    assert len(candidates(task, flat, EXACT, grid=grid)) == 2 * 9 * 12
    assert len(candidates(task, {**raw, "heatmap": np.full_like(raw["heatmap"], -50)}, EXACT, grid=grid)) == 0
