from __future__ import annotations

import numpy as np
import pytest

from centernet.geometry.nms import SoftNms
from centernet.structures import Array, Detections
from centernet.tasks._keypoints.decode import best_peaks, merge_scales, neighbourhood_maximum, sigmoid


def slow_peaks(heatmap: Array, k: int) -> list[int]:
    """The k highest maxima, cell by cell."""
    found = []
    for cell, (class_id, y, x) in enumerate(np.ndindex(*heatmap.shape)):
        if heatmap[class_id, y, x] >= heatmap[class_id, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].max():
            found.append(cell)
    return sorted(found, key=lambda cell: -heatmap.reshape(-1)[cell])[:k]


@pytest.mark.parametrize("shape", [(3, 32, 48), (1, 1, 1), (2, 7, 5), (5, 1, 9), (2, 9, 1), (20, 64, 64)])
@pytest.mark.parametrize("k", [1, 9, 200])
def test_the_best_peaks_are_those_of_all_neighbourhoods(shape: tuple[int, int, int], k: int) -> None:
    heatmap = np.random.default_rng(k).normal(size=shape).astype(np.float32)
    assert best_peaks(heatmap, k).tolist() == slow_peaks(heatmap, k)


def test_a_hill_that_is_higher_than_all_else_is_one_peak() -> None:
    """Its cells fill the first blocks that are looked at."""
    y, x = np.indices((64, 64))
    heatmap = (100.0 - np.hypot(y - 20.3, x - 31.2))[None].astype(np.float32)
    heatmap[0, 60, 60] += 3
    assert best_peaks(heatmap, 5).tolist() == [20 * 64 + 31, 60 * 64 + 60]


@pytest.mark.parametrize("k", [3, 5000])
def test_every_cell_of_a_plateau_is_a_peak(k: int) -> None:
    assert len(best_peaks(np.full((2, 32, 32), -2.19, np.float32), k)) == min(k, 2048)


def test_what_is_not_a_number_is_no_peak_nor_are_its_neighbours() -> None:
    heatmap = np.random.default_rng(0).normal(size=(2, 32, 32)).astype(np.float32)
    heatmap[0, 5, 5] = np.nan
    for k in (4, 1000):
        assert not {5 * 32 + 5, 5 * 32 + 6, 6 * 32 + 5} & set(best_peaks(heatmap, k).tolist())
    assert len(best_peaks(np.full((1, 8, 8), np.nan), 3)) == 0


def test_the_neighbourhood_is_three_by_three_and_ends_at_the_border() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 5, 4))
    for image, y, x in np.ndindex(*maps.shape):
        expected = maps[image, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].max()
        assert neighbourhood_maximum(maps)[image, y, x] == expected


def test_the_sigmoid_does_not_overflow() -> None:
    np.testing.assert_allclose(sigmoid(np.asarray([-1e5, -2, 0, 2, 1e5])), [0, 1 / (1 + np.e**2), 0.5, 1 / (1 + np.e**-2), 1])


def detections(scores: list[float]) -> Detections:
    return Detections(np.zeros((len(scores), 4)), np.asarray(scores), np.arange(len(scores)), ("a",) * 9)


def test_equal_scores_may_exceed_the_limit() -> None:
    merged = merge_scales([detections([0.9, 0.5, 0.1]), detections([0.5, 0.5, 0.3])], limit=2)
    np.testing.assert_allclose(merged.scores, [0.9, 0.5, 0.5, 0.5], rtol=1e-6)
    assert merged.class_ids.tolist() == [0, 1, 0, 1]
    assert merged.class_names == ("a",) * 9


def overlapping() -> list[Detections]:
    """Two scales: a cat twice in nearly the same place, a dog there too, and another cat elsewhere at the second scale."""
    first = Detections([[0, 0, 10, 10], [0, 0, 10, 10]], [0.9, 0.5], [0, 1])
    second = Detections([[50, 50, 60, 60], [0, 0, 10, 8]], [0.8, 0.6], [0, 0])
    return [first, second]


def test_suppressing_happens_within_a_class_and_best_come_first() -> None:
    merged = merge_scales(overlapping(), limit=10, soft_nms=SoftNms())
    np.testing.assert_allclose(merged.scores, [0.9, 0.8, 0.5, 0.6 * np.exp(-(0.8**2) / 0.5)], rtol=1e-6)
    assert merged.class_ids.tolist() == [0, 0, 1, 0]
    assert merged.boxes[3].tolist() == [0, 0, 10, 8]
    assert len(merge_scales(overlapping(), limit=10, soft_nms=SoftNms(method="hard"))) == 3
    assert len(merge_scales(overlapping(), limit=2, soft_nms=SoftNms())) == 2


def test_the_reference_merge_keeps_the_duplicates_of_the_official_code() -> None:
    parts = [Detections([[0, 0, 10, 10]] * 2 + [[50, 50, 60, 60]], [0.9, 0.8, 0.7], [0, 0, 0])]
    right = merge_scales(parts, limit=10, soft_nms=SoftNms(method="hard"))
    stale = merge_scales(parts, limit=10, soft_nms=SoftNms(method="hard"), as_reference=True)
    np.testing.assert_allclose(right.scores, [0.9, 0.7], rtol=1e-6)
    np.testing.assert_allclose(stale.scores, [0.9, 0.7, 0.7], rtol=1e-6)


def test_corners_move_to_the_mean_of_those_a_box_suppresses_where_they_are_trusted() -> None:
    boxes, trust = np.array([[0, 0, 10, 10], [2, 2, 10, 10], [50, 50, 60, 60]], float), np.array([[1, 1], [3, 1], [1, 1]])
    parts = [Detections(boxes[:1], [0.9], [0], corner_scores=trust[:1]), Detections(boxes[1:], [0.6, 0.5], [0, 0], corner_scores=trust[1:])]
    overlap = 64 / 100
    weight = 3 * (1 - np.exp(-(overlap**2) / 0.5)) ** 2
    merged = merge_scales(parts, limit=10, soft_nms=SoftNms(), corner_power=2.0)
    np.testing.assert_allclose(merged.boxes[0], [2 * weight / (1 + weight)] * 2 + [10, 10], rtol=1e-5)
    np.testing.assert_allclose(merged.boxes[1:], [boxes[2], boxes[1]])
    assert merge_scales(parts, limit=10, soft_nms=SoftNms()).boxes[0].tolist() == boxes[0].tolist()
    reference = merge_scales(parts, limit=10, soft_nms=SoftNms(), as_reference=True, corner_power=2.0)
    assert 0.2 < reference.boxes[0, 0] < 2


def test_nothing_found_is_suppressed_to_nothing() -> None:
    assert len(merge_scales([detections([]), detections([])], limit=5, soft_nms=SoftNms())) == 0


def test_merging_nothing_is_refused() -> None:
    for parts, limit in (([], 5), ([detections([])], 0)):
        with pytest.raises(ValueError, match="at least 1"):
            merge_scales(parts, limit=limit)
    assert len(merge_scales([detections([])], limit=1)) == 0
