from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.metrics.detection_errors import Judgement, Kind
from centernet.metrics.operating_points import MISSED, best_f1, class_curve, gains, interpolated, mendable

R, M, C, D, B, X, I = (int(kind) for kind in Kind)  # noqa: E741


def judgement(*detections: tuple[float, int, int, int], classes: tuple[int, ...] = ()) -> Judgement:
    """detections: (score, class, kind, object), best first; classes: of the objects, all of which must be found."""
    scores, class_ids, kinds, objects = np.array(detections, float).reshape(-1, 4).T
    return Judgement(
        image_index=np.zeros(len(scores), np.int64),
        boxes=np.zeros((len(scores), 4), np.float32),
        scores=scores.astype(np.float32),
        class_ids=class_ids.astype(int),
        kinds=kinds.astype(int),
        objects=objects.astype(int),
        truth_image_index=np.zeros(len(classes), int),
        truth_class_ids=np.array(classes, int),
        is_counted=np.ones(len(classes), bool),
    )


def test_the_curve_and_its_best_point_by_hand() -> None:
    scored = class_curve(judgement((0.9, 0, R, 0), (0.8, 0, B, -1), (0.75, 0, I, -1), (0.7, 0, R, 1), (0.6, 1, B, -1)), 0, num_objects=4)
    np.testing.assert_allclose(scored.curve.recall, [0.25, 0.25, 0.5])
    np.testing.assert_allclose(scored.curve.precision, [1, 1 / 2, 2 / 3])
    best = best_f1(scored)
    assert best is not None
    assert best.f1 == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))
    assert (best.recall, best.precision) == pytest.approx((0.5, 2 / 3))
    assert best.threshold == 0.7


def test_a_threshold_has_as_few_decimals_as_keep_the_next_detection_out() -> None:
    scored = class_curve(judgement((0.4567, 0, R, 0), (0.4512, 0, B, -1), (0.4, 0, B, -1)), 0, num_objects=1)
    best = best_f1(scored)
    assert best is not None
    assert best.threshold == 0.456
    assert (scored.scores >= np.float32(best.threshold)).tolist() == [True, False, False]


def test_a_threshold_does_not_part_equal_scores() -> None:
    best = best_f1(class_curve(judgement((0.9, 0, R, 0), (0.5, 0, R, 1), (0.5, 0, B, -1), (0.5, 0, B, -1)), 0, num_objects=2))
    assert best is not None
    assert (best.recall, best.precision) == (0.5, 1.0)


def test_no_threshold_where_nothing_is_right_or_to_be_found() -> None:
    assert best_f1(class_curve(judgement((0.9, 0, B, -1)), 0, num_objects=3)) is None
    assert best_f1(class_curve(judgement((0.9, 0, B, -1)), 0, num_objects=0)) is None
    assert best_f1(class_curve(judgement(), 0, num_objects=3)) is None


KINDS = st.lists(st.tuples(st.integers(1, 200), st.booleans()), min_size=1, max_size=25).map(lambda rows: sorted(rows, reverse=True))


@given(KINDS, st.integers(0, 5))
def test_no_score_to_cut_at_is_better_than_the_threshold(rows: list[tuple[int, bool]], unfound: int) -> None:
    scores, is_right = np.array([s / 200 for s, _ in rows], np.float32), np.array([right for _, right in rows])
    number = int(is_right.sum()) + unfound
    found = [(float(s), 0, R if right else B, -1) for s, right in zip(scores, is_right, strict=True)]
    best = best_f1(class_curve(judgement(*found), 0, num_objects=number))

    def f1(threshold: float) -> float:
        shown = scores >= np.float32(threshold)
        return 2 * int((is_right & shown).sum()) / (int(shown.sum()) + number) if shown.any() else 0.0

    assert (best.f1 if best else 0.0) == pytest.approx(max(f1(float(s)) for s in scores))
    if best:
        assert f1(best.threshold) == pytest.approx(best.f1)


def test_the_drawn_curve_is_cocos() -> None:
    scored = class_curve(judgement((0.9, 0, B, -1), (0.8, 0, R, 0), (0.7, 0, R, 1)), 0, num_objects=4)
    precision, scores = interpolated(scored)
    assert len(precision) == 101
    np.testing.assert_allclose(precision[:51], 2 / 3)
    assert not precision[51:].any()
    np.testing.assert_allclose(scores[[0, 25, 26, 50, 51]], np.array([0.9, 0.8, 0.7, 0.7, 0], np.float32))


def test_what_mending_each_kind_would_bring_by_hand() -> None:
    found = judgement(
        (0.9, 0, B, -1), (0.8, 0, R, 0), (0.7, 0, D, 0), (0.6, 0, M, 1), (0.5, 1, C, 2), (0.4, 0, X, 3), classes=(0, 0, 0, 0)
    )  # fmt: skip
    before = 1 / 4 * (1 / 2)  # one of four, and it comes second
    expected = {
        "background": 1 / 4 - before,
        "duplicate": 0.0,  # it comes after all that is right
        "confused_and_misplaced": 0.0,
        "misplaced": 1 / 4 * (1 / 2 + 1 / 2) - before,  # right, right among four
        "confused": 1 / 4 * (1 / 2 + 2 / 5) - before,
        MISSED: 1 / 3 * (1 / 2) - before,  # object 3 is taken away
    }
    assert gains(found, num_classes=2) == pytest.approx(expected)


def test_only_the_best_detection_of_an_object_that_is_not_found_is_mended() -> None:
    found = judgement((0.9, 0, R, 0), (0.8, 0, M, 0), (0.7, 0, M, 1), (0.6, 0, M, 1), (0.5, 0, C, 1), classes=(0, 0))
    assert mendable(found, Kind.MISPLACED).tolist() == [False, False, True, False, False]
    assert mendable(found, Kind.CONFUSED).tolist() == [False, False, False, False, True]


@pytest.mark.parametrize("detections", [(), ((0.9, 0, B, -1), (0.8, 0, I, -1))])
def test_without_objects_nothing_can_be_gained(detections: tuple[tuple[float, int, int, int], ...]) -> None:
    assert set(gains(judgement(*detections), num_classes=2).values()) == {0.0}
    assert not mendable(judgement(*detections), Kind.CONFUSED).any()


ROWS = st.lists(st.tuples(st.integers(1, 999), st.integers(0, 1), st.sampled_from((M, C, D, B, X, I)), st.integers(0, 4)), max_size=20)


@given(ROWS)
def test_mending_never_takes_ap_away_but_where_a_class_has_no_objects_left(rows: list[tuple[int, int, int, int]]) -> None:
    ordered = sorted(rows, reverse=True)
    found = judgement(*[(s / 1000, c, k, -1 if k in (B, I) else o) for s, c, k, o in ordered], classes=(0, 0, 1, 1, 1))
    assert all(gain >= -1e-12 for name, gain in gains(found, num_classes=2).items() if name != MISSED)
