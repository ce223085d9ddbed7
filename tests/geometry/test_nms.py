from __future__ import annotations

import numpy as np
import pytest

from centernet.geometry.boxes import iou_matrix
from centernet.geometry.nms import SoftNms, soft_nms, soft_nms_reference
from centernet.structures import Array

METHODS = ("gaussian", "linear", "hard")


def boxes_and_scores(n: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 60, (n, 2)), rng.uniform(10, 40, (n, 2))
    return np.concatenate([corner, corner + size], axis=1), rng.uniform(0.001, 1, n)


def slow(boxes: Array, scores: Array, settings: SoftNms) -> list[tuple[int, float]]:
    """(index, score) of what is left, best first, one box after another."""
    left, found = dict(enumerate(scores.tolist())), []
    while left:
        best = max(left, key=lambda i: left[i])
        found.append((best, left.pop(best)))
        for other in list(left):
            overlap = float(iou_matrix(boxes[[best]], boxes[[other]])[0, 0])
            factor = {
                "gaussian": np.exp(-(overlap**2) / settings.sigma),
                "linear": 1 - overlap if overlap > settings.overlap else 1,
                "hard": 0 if overlap > settings.overlap else 1,
            }[settings.method]
            left[other] *= factor
            if factor < 1 and left[other] < settings.min_score:
                del left[other]
    return found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [0, 1, 2, 60])
def test_suppressing_equals_its_slow_version(method, n) -> None:
    boxes, scores = boxes_and_scores(n)
    settings = SoftNms(method=method, sigma=0.3, overlap=0.4, min_score=0.02)
    found = soft_nms(boxes, scores, settings)
    expected = slow(boxes, scores, settings)
    assert found.kept.tolist() == [index for index, _ in expected]
    np.testing.assert_allclose(found.scores, [score for _, score in expected], rtol=1e-12)
    np.testing.assert_array_equal(found.boxes, boxes[found.kept])
    assert (np.diff(found.scores) <= 0).all()


def test_two_equal_boxes_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [10, 0, 20, 10]])
    found = soft_nms(boxes, np.array([0.5, 0.8, 0.0001]), SoftNms())
    assert found.kept.tolist() == [1, 0, 2]  # the third only touches the others, and stays however low it is
    np.testing.assert_allclose(found.scores, [0.8, 0.5 * np.exp(-2), 0.0001])
    assert soft_nms(boxes, np.array([0.5, 0.8, 0.0001]), SoftNms(method="hard")).kept.tolist() == [1, 2]


def test_the_inputs_are_not_modified() -> None:
    boxes, scores = boxes_and_scores(20)
    rows = np.concatenate([boxes, scores[:, None]], axis=1).astype(np.float32)
    before = boxes.copy(), scores.copy(), rows.copy()
    soft_nms(boxes, scores, SoftNms())
    soft_nms_reference(rows, SoftNms())
    for array, copy in zip((boxes, scores, rows), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_merged_corners_are_means_weighted_with_the_boxes_own_trust() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [2, 0, 10, 10], [50, 50, 60, 60]])
    trust = np.array([[0.9, 0.3], [0.5, 0.6], [0.1, 0.2]])
    found = soft_nms(boxes, np.array([0.4, 0.8, 0.9]), SoftNms(), corner_scores=trust, power=1)
    assert found.kept.tolist() == [2, 1, 0]
    pull = 1 - np.exp(-(0.8**2) / 0.5)
    left = (2 * 0.5 + 0 * 0.9 * pull) / (0.5 + 0.9 * pull)
    np.testing.assert_allclose(found.boxes, [[50, 50, 60, 60], [left, 0, 10, 10], [0, 0, 10, 10]])


def test_the_reference_gives_a_discarded_row_back_as_a_duplicate_of_the_last() -> None:
    rows = np.array([[0, 0, 10, 10, 0.9], [0, 0, 10, 10, 0.8], [50, 50, 60, 60, 0.7]], np.float32)
    found, num_kept = soft_nms_reference(rows, SoftNms(method="hard"))
    assert num_kept == 2
    np.testing.assert_array_equal(found, rows[[0, 2, 2]])
    assert soft_nms(rows[:, :4], rows[:, 4], SoftNms(method="hard")).kept.tolist() == [0, 2]


def test_scores_that_do_not_belong_to_the_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 boxes"):
        soft_nms(np.zeros((3, 4)), np.zeros(2), SoftNms())
    with pytest.raises(ValueError, match="two corner scores"):
        soft_nms(np.zeros((3, 4)), np.zeros(3), SoftNms(), corner_scores=np.zeros((3, 1)))
