from __future__ import annotations

import numpy as np
import pytest

from centernet.metrics.voc_ap import Curve, VocAP, area_ap, eleven_point_ap, precision_recall
from centernet.structures import Annotations, Array, ClassTable, Detections

CLASSES = ClassTable(("cat", "dog"))


def curve_of(found: list[list[float]], truth: list[list[float]], ignored: list[bool] | None = None) -> Curve:
    """found: [image, x1, y1, x2, y2], best first; truth: the same, sorted by image."""
    boxes, objects = (np.asarray(rows, float).reshape(-1, 5) for rows in (found, truth))
    return precision_recall(
        boxes[:, 0],
        boxes[:, 1:],
        truth_index=objects[:, 0],
        truth_boxes=objects[:, 1:],
        is_ignored=np.asarray(ignored if ignored is not None else [False] * len(objects), bool),
    )


def test_the_curve_by_hand() -> None:
    truth = [[0, 1, 1, 10, 10], [2, 1, 1, 10, 10]]
    found = [[0, 1, 1, 10, 10], [1, 1, 1, 10, 10], [0, 1, 1, 10, 10], [2, 1, 1, 10, 10]]  # right, nowhere, again, right
    curve = curve_of(found, truth)
    np.testing.assert_allclose(curve.recall, [0.5, 0.5, 0.5, 1])
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 1 / 3, 2 / 4])
    assert eleven_point_ap(curve) == pytest.approx((6 * 1 + 5 * 0.5) / 11)
    assert area_ap(curve) == pytest.approx(0.5 * 1 + 0.5 * 0.5)


def test_an_overlap_of_exactly_one_half_is_not_enough() -> None:
    # pixels count: 1..10 is 10 wide; half of it is exactly 0.5
    assert curve_of([[0, 1, 1, 5, 10]], [[0, 1, 1, 10, 10]]).recall[-1] == 0
    assert curve_of([[0, 1, 1, 6, 10]], [[0, 1, 1, 10, 10]]).recall[-1] == 1


def test_a_detection_is_matched_to_the_object_it_overlaps_most_even_if_that_is_taken() -> None:
    truth = [[0, 1, 1, 10, 10], [0, 3, 1, 12, 10]]
    curve = curve_of([[0, 1, 1, 10, 10], [0, 1, 1, 10, 10]], truth)
    np.testing.assert_allclose(curve.recall, [0.5, 0.5])


def test_difficult_objects_neither_help_nor_harm() -> None:
    truth = [[0, 1, 1, 10, 10], [0, 50, 50, 60, 60]]
    curve = curve_of([[0, 50, 50, 60, 60], [0, 1, 1, 10, 10]], truth, [False, True])
    np.testing.assert_allclose(curve.recall, [0, 1])
    np.testing.assert_allclose(curve.precision, [0, 1])


def test_of_objects_overlapped_equally_the_first_is_matched() -> None:
    truth = [[0, 1, 1, 10, 10], [0, 1, 1, 10, 10]]
    for ignored, recall in (([True, False], 0), ([False, True], 1)):
        assert curve_of([[0, 1, 1, 10, 10]], truth, ignored).recall[-1] == recall


def test_no_detections_is_zero_and_no_objects_is_undefined() -> None:
    assert eleven_point_ap(curve_of([], [[0, 1, 1, 10, 10]])) == 0
    assert area_ap(curve_of([], [[0, 1, 1, 10, 10]])) == 0
    for found in ([], [[0, 1, 1, 10, 10]]):
        assert np.isnan(eleven_point_ap(curve_of(found, [])))
        assert np.isnan(area_ap(curve_of(found, [[0, 1, 1, 10, 10]], [True])))


def slow_area(curve: Curve) -> float:
    area, last = 0.0, 0.0
    for i, recall in enumerate(curve.recall):
        area += (recall - last) * max(curve.precision[i:])
        last = recall
    return area


def test_area_equals_its_slow_version() -> None:
    rng = np.random.default_rng(0)
    truth = [[image, 10, 10, 60, 60] for image in range(20)]
    found = [[image, *(np.asarray([10, 10, 60, 60]) + rng.normal(0, 8, 4))] for image in rng.integers(0, 25, 60)]
    curve = curve_of(found, truth)
    assert area_ap(curve) == pytest.approx(slow_area(curve))
    assert 0.1 < area_ap(curve) < 0.9


def annotations_of(boxes: Array, class_ids: list[int], crowd: list[bool] | None = None) -> Annotations:
    count = len(boxes)
    return Annotations(
        image_ids=np.asarray([5]),
        image_sizes=np.asarray([[100, 100]]),
        file_names=["a.jpg"],
        image_index=np.zeros(count, int),
        boxes=np.asarray(boxes, float),
        class_ids=np.asarray(class_ids),
        areas=np.ones(count),
        is_crowd=np.asarray(crowd or [False] * count, bool),
        is_difficult=np.zeros(count, bool),
    )


def test_classes_without_objects_are_left_out_of_the_mean_and_told_apart() -> None:
    metric = VocAP(annotations_of([[1, 1, 10, 10]], [0]), CLASSES)
    metric.update(0, Detections(np.asarray([[1, 1, 10, 10], [50, 50, 60, 60]]), np.asarray([0.9, 0.8]), np.asarray([0, 1])))
    result = metric.compute()
    assert (result["AP"], result["AP50"], result["AP50_area"], result["AP50_all_classes"]) == (1, 1, 1, 0.5)
    assert result["per_class"]["cat"] == {"AP": 1, "AP50": 1, "AP50_area": 1}
    assert result["per_class"]["dog"] == {"AP": -1, "AP50": -1, "AP50_area": -1}
    assert metric.detections_json()[0]["image_id"] == 5


def test_without_any_object_the_means_are_minus_one() -> None:
    result = VocAP(annotations_of(np.zeros((0, 4)), []), CLASSES).compute()
    assert (result["AP"], result["AP50_area"], result["AP50_all_classes"]) == (-1, -1, -1)


def test_a_crowd_need_not_be_found() -> None:
    metric = VocAP(annotations_of([[1, 1, 10, 10], [50, 50, 90, 90]], [0, 0], [False, True]), CLASSES)
    metric.update(0, Detections(np.asarray([[1, 1, 10, 10]]), np.asarray([0.9]), np.asarray([0])))
    assert metric.compute()["AP"] == 1


def test_edges_of_json_boxes_are_moved_one_pixel_inwards() -> None:
    # edges 0..10 are pixels 0..9: 10 wide. A detection 0..4 is taken as 5 wide, so exactly half.
    for right, expected in ((4, 0), (5, 1)):
        metric = VocAP(annotations_of([[0, 0, 10, 10]], [0]), CLASSES, inclusive_boxes=False)
        metric.update(0, Detections(np.asarray([[0, 0, right, 9]]), np.asarray([0.9]), np.asarray([0])))
        assert metric.compute()["AP"] == expected


def test_the_best_score_decides_the_order_not_the_order_of_images() -> None:
    metric = VocAP(annotations_of([[1, 1, 10, 10]], [0]), CLASSES)
    metric.update(0, Detections(np.asarray([[50, 50, 60, 60], [1, 1, 10, 10]]), np.asarray([0.3, 0.7]), np.asarray([0, 0])))
    np.testing.assert_allclose(metric.curve(0).precision, [1, 0.5])


def slow_curve(found: list[list[float]], truth: list[list[float]], ignored: list[bool]) -> tuple[list[float], list[float]]:
    """One detection after the other, as the development kit does it."""
    taken, right, wrong, recall, precision = set(), 0, 0, [], []
    for image, *box in found:
        best, match = 0.0, -1
        for i, (truth_image, *other) in enumerate(truth):
            across, down = (min(box[2 + a], other[2 + a]) - max(box[a], other[a]) + 1 for a in (0, 1))
            areas = [(b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, other)]
            shared = max(across, 0) * max(down, 0)
            if image == truth_image and shared / (sum(areas) - shared) > best:
                best, match = shared / (sum(areas) - shared), i
        if best <= 0.5:
            wrong += 1
        elif not ignored[match]:
            right, wrong = right + (match not in taken), wrong + (match in taken)
            taken.add(match)
        recall.append(right / ignored.count(False))
        precision.append(right / max(right + wrong, 1))
    return recall, precision


def test_the_curve_equals_its_slow_version() -> None:
    rng = np.random.default_rng(1)
    truth = [[image, *corner, *(corner + 30)] for image in range(12) for corner in rng.uniform(0, 60, (image % 4, 2)).round()]
    ignored = (rng.random(len(truth)) < 0.2).tolist()
    chosen = [truth[i] for i in rng.integers(0, len(truth), 30)]
    found = [[image if rng.random() < 0.9 else 20, *(np.asarray(box) + rng.normal(0, 4, 4)).round()] for image, *box in chosen]
    curve = curve_of(found, truth, ignored)
    recall, precision = slow_curve(found, truth, ignored)
    np.testing.assert_allclose(curve.recall, recall)
    np.testing.assert_allclose(curve.precision, precision)
    assert 0.2 < curve.recall[-1] < 1
