from __future__ import annotations

import numpy as np
import pytest

from centernet.metrics.detection_store import DetectionStore
from centernet.structures import Detections


def detections(scores: list[float], class_ids: list[int]) -> Detections:
    boxes = np.arange(4 * len(scores), dtype=np.float32).reshape(-1, 4) + np.asarray([0, 0, 10, 20])
    return Detections(boxes, np.asarray(scores), np.asarray(class_ids, int))


FOUND = {4: detections([0.9, 0.2], [1, 0]), 0: detections([], []), 2: detections([0.5], [1])}


def store_of(indices: list[int]) -> DetectionStore:
    store = DetectionStore(5)
    for index in indices:
        store.add(index, FOUND[index])
    return store


def test_images_come_back_in_order() -> None:
    assert [(index, len(found)) for index, found in store_of([4, 0, 2])] == [(0, 0), (2, 1), (4, 2)]


def test_arrays_have_the_promised_shapes_and_types() -> None:
    for store, images, total in ((DetectionStore(5), 0, 0), (store_of([4, 0, 2]), 3, 3)):
        arrays = {name: (array.shape, array.dtype.name) for name, array in store.arrays().items()}
        assert arrays == {
            "image_index": ((images,), "int64"),
            "counts": ((images,), "int64"),
            "boxes": ((total, 4), "float32"),
            "scores": ((total,), "float32"),
            "class_ids": ((total,), "int64"),
        }


def test_merged_parts_equal_the_whole_also_when_a_part_comes_twice() -> None:
    merged = store_of([4])
    merged.merge([store_of([0, 2]).arrays(), store_of([4]).arrays(), DetectionStore(5).arrays()])
    for name, array in store_of([0, 2, 4]).arrays().items():
        np.testing.assert_array_equal(merged.arrays()[name], array)


def test_an_image_given_twice_or_unknown_is_refused() -> None:
    store = store_of([2])
    with pytest.raises(ValueError, match="image 2 was given twice"):
        store.add(2, FOUND[2])
    for index in (-1, 5):
        with pytest.raises(ValueError, match="expected 0 to 4"):
            store.add(index, FOUND[2])


def test_a_class_comes_best_first() -> None:
    image_index, scores, boxes = store_of([4, 2]).of_class(1)
    assert image_index.tolist() == [4, 2]
    np.testing.assert_allclose(scores, [0.9, 0.5])
    assert boxes.shape == (2, 4)
    assert [len(array) for array in store_of([4, 2]).of_class(7)] == [0, 0, 0]


def test_coco_results_have_original_ids_and_unrounded_numbers() -> None:
    store = DetectionStore(1)
    score = float(np.float32(0.123456789))
    store.add(0, Detections(np.asarray([[1.25, 2.5, 4.125, 8]]), np.asarray([score]), np.asarray([1])))
    assert store.coco_results(np.asarray([42]), (5, 17)) == [
        {"image_id": 42, "category_id": 17, "bbox": [1.25, 2.5, 2.875, 5.5], "score": score}
    ]
