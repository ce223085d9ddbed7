from __future__ import annotations

import numpy as np

from centernet.data.rendering import LARGEST, OUTLINES, draw_scene


def _scenes(count: int, **arguments: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    return [draw_scene(np.random.default_rng(seed), **{"size": 96, "num_objects": 4, **arguments}) for seed in range(count)]


def test_a_scene_is_an_image_with_as_many_boxes_as_classes() -> None:
    for image, boxes, class_ids in _scenes(30):
        assert image.shape == (96, 96, 3)
        assert image.dtype == np.uint8
        assert boxes.shape == (len(class_ids), 4)
        assert len(class_ids) <= 4


def test_boxes_are_inside_the_image_and_not_larger_than_a_shape_can_be() -> None:
    boxes = np.concatenate([boxes for _, boxes, _ in _scenes(50)])
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (boxes >= 0).all()
    assert (boxes <= 96).all()
    assert (sides > 2).all()
    assert (sides <= 96 * LARGEST * 2.4 + 1).all()
    small, large = np.percentile(sides, [10, 90])
    assert large > 1.7 * small


def test_every_class_occurs_about_equally_often() -> None:
    class_ids = np.concatenate([class_ids for _, _, class_ids in _scenes(100)])
    counts = np.bincount(class_ids, minlength=len(OUTLINES))
    assert counts.min() > 0.5 * counts.mean()


def test_some_shapes_are_cut_by_the_border_and_some_overlap() -> None:
    cut = overlapping = 0
    for _, boxes, _ in _scenes(50):
        cut += int(((boxes[:, :2] == 0).any(axis=1) | (boxes[:, 2:] == 96).any(axis=1)).sum())
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        overlapping += int(((high - low).min(axis=-1) > 0).sum() - len(boxes))
    assert cut > 10
    assert overlapping > 10


def test_the_pixels_of_a_shape_stand_out_from_the_same_scene_without_it() -> None:
    """The first draws of both scenes are the same, so they differ where the shape is, by noise elsewhere."""
    for seed in range(20):
        empty, _, _ = draw_scene(np.random.default_rng(seed), size=96, num_objects=0)
        image, boxes, _ = draw_scene(np.random.default_rng(seed), size=96, num_objects=1)
        difference = np.abs(image.astype(int) - empty).max(axis=2) > 40
        rows, columns = np.nonzero(difference)
        (x1, y1, x2, y2) = boxes[0]
        inside = (x1 - 1 <= columns) & (columns <= x2) & (y1 - 1 <= rows) & (rows <= y2)
        assert inside.mean() > 0.98
        assert np.abs([columns[inside].min() - x1, rows[inside].min() - y1]).max() <= 4


def test_a_scene_without_objects_and_the_same_seed_twice() -> None:
    image, boxes, class_ids = draw_scene(np.random.default_rng(3), size=32, num_objects=0)
    assert boxes.shape == (0, 4)
    assert class_ids.shape == (0,)
    again, _, _ = draw_scene(np.random.default_rng(3), size=32, num_objects=0)
    np.testing.assert_array_equal(image, again)
