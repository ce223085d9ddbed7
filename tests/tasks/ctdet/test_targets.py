from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centernet.geometry.gaussian import gaussian_radius, gaussian_radius_fixed
from centernet.structures import Array, ClassTable, Grid, Sample
from centernet.tasks._keypoints.targets import RadiusFunction
from centernet.tasks.ctdet import Config, build
from centernet.tasks.ctdet.decode import decode_centers
from centernet.tasks.ctdet.targets import encode_centers, ideal_outputs

GRID = Grid(64, 96, 4)  # 16 x 24 cells


def encode(boxes: object, class_ids: object, *, max_objects: int = 4, radius: RadiusFunction = gaussian_radius) -> dict[str, Array]:
    sample = Sample(image=np.zeros((64, 96, 3), np.uint8), boxes=np.reshape(boxes, (-1, 4)), class_ids=class_ids, name="street.jpg")
    return encode_centers(sample, GRID, num_classes=3, max_objects=max_objects, radius=radius, min_overlap=0.7)


def test_one_object_by_hand() -> None:
    targets = encode([[10, 20, 31, 42]], [1])
    # cells: 2.5..7.75 across, 5..10.5 down; centre (5.125, 7.75), so cell (5, 7)
    assert targets["indices"].tolist() == [7 * 24 + 5, 0, 0, 0]
    np.testing.assert_allclose(targets["size"][0], [5.25, 5.5])
    np.testing.assert_allclose(targets["offset"][0], [0.125, 0.75])
    assert targets["mask"].tolist() == [1, 0, 0, 0]
    assert np.argwhere(targets["heatmap"] == 1).tolist() == [[1, 7, 5]]
    assert (targets["num_peaks"], targets["num_objects"]) == (1, 1)


def test_shapes_and_types_are_as_promised() -> None:
    shapes = {name: (array.shape, array.dtype.name) for name, array in encode([[0, 0, 9, 9]], [0]).items()}
    assert shapes == {
        "heatmap": ((3, 16, 24), "float32"),
        "indices": ((4,), "int32"),
        "size": ((4, 2), "float32"),
        "offset": ((4, 2), "float32"),
        "mask": ((4,), "float32"),
        "num_peaks": ((), "float32"),
        "num_objects": ((), "float32"),
    }


def test_without_objects_everything_is_zero() -> None:
    assert not any(array.any() for array in encode([], []).values())


def test_boxes_are_clipped_to_the_last_cell() -> None:
    targets = encode([[-50, -50, 500, 500]], [0])
    np.testing.assert_allclose(targets["size"][0], [23, 15])
    assert targets["indices"][0] == 7 * 24 + 11
    np.testing.assert_allclose(targets["offset"][0], [0.5, 0.5])


def test_a_dropped_object_keeps_its_row() -> None:
    outside, zero_width, good = [200, 10, 240, 30], [20, 20, 20, 40], [8, 8, 24, 24]
    targets = encode([outside, zero_width, good], [0, 1, 2])
    assert targets["mask"].tolist() == [0, 0, 1, 0]
    assert not targets["indices"][:2].any()
    assert not targets["heatmap"][:2].any()
    assert targets["num_objects"] == 1


def test_only_the_first_objects_count() -> None:
    targets = encode([[8 * i, 8, 8 * i + 8, 24] for i in range(6)], [0] * 6, max_objects=4)
    assert targets["mask"].tolist() == [1, 1, 1, 1]
    assert targets["num_peaks"] == 4


def test_objects_of_one_class_in_one_cell_are_one_peak() -> None:
    targets = encode([[8, 8, 24, 24], [9, 9, 24, 24]], [0, 0])
    assert (targets["num_peaks"], targets["num_objects"]) == (1, 2)


def test_the_radius_is_truncated() -> None:
    def cells_drawn(radius: float) -> int:
        return np.count_nonzero(encode([[40, 24, 56, 40]], [0], radius=lambda *_: radius)["heatmap"])

    assert [cells_drawn(radius) for radius in (0.9, 1.0, 1.9)] == [1, 9, 9]


@pytest.mark.parametrize(("name", "function"), [("cornernet", gaussian_radius), ("corrected", gaussian_radius_fixed)])
def test_the_configuration_names_the_radius(name: str, function: RadiusFunction) -> None:
    task = build(Config(radius=name), ClassTable(("a", "b", "c")))  # type: ignore[arg-type]
    sample = Sample(image=np.zeros((64, 96, 3), np.uint8), boxes=[[4, 4, 90, 60]], class_ids=[0])
    np.testing.assert_array_equal(task.encode(sample, GRID)["heatmap"], encode(sample.boxes, [0], radius=function)["heatmap"])


def test_class_ids_without_a_channel_are_refused() -> None:
    for class_id in (-1, 3):
        with pytest.raises(ValueError, match=r"street.jpg.*expected 0\.\.2"):
            encode([[8, 8, 24, 24]], [class_id])


objects = st.lists(st.tuples(st.floats(-20, 110), st.floats(-20, 80), st.floats(-5, 90), st.floats(-5, 70), st.integers(0, 2)), max_size=7)


@given(st.lists(objects, min_size=1, max_size=4))
def test_memory_that_earlier_targets_were_written_to_gives_the_same_as_new(images: list[list[tuple[float, ...]]]) -> None:
    out = {name: np.zeros_like(array) for name, array in encode([], []).items()} | {"image": np.full(3, 7)}
    for image in images:
        boxes, class_ids = [[x, y, x + w, y + h] for x, y, w, h, _ in image], [int(row[4]) for row in image]
        sample = Sample(image=np.zeros((64, 96, 3), np.uint8), boxes=np.reshape(boxes, (-1, 4)), class_ids=class_ids)
        targets = encode_centers(sample, GRID, num_classes=3, max_objects=4, radius=gaussian_radius, min_overlap=0.7, out=out)
        expected = encode(boxes, class_ids)
        assert targets.keys() == expected.keys()
        for name, array in expected.items():
            assert targets[name] is out[name]
            np.testing.assert_array_equal(targets[name], array, err_msg=name)
        assert targets["num_peaks"] == (expected["heatmap"] == 1).sum()
    assert (out["image"] == 7).all()


@st.composite
def objects_in_cells_of_their_own(draw: st.DrawFn) -> tuple[list[list[float]], list[int]]:
    """Boxes within the map (in pixels), no two with their centre in the same cell."""
    cells = draw(st.lists(st.tuples(st.integers(1, 21), st.integers(1, 13)), unique=True, max_size=12))
    boxes = []
    for x, y in cells:
        fraction = [draw(st.floats(0.02, 0.98)) for _ in "xy"]
        center = np.asarray([x, y]) + fraction
        room = np.minimum(center, [23, 15] - center)
        half = [draw(st.floats(0.1, float(space))) for space in room]
        boxes.append([*(4 * (center - half)), *(4 * (center + half))])
    return boxes, [draw(st.integers(0, 2)) for _ in cells]


@settings(deadline=None)
@given(objects_in_cells_of_their_own())
def test_decoding_the_targets_gives_back_the_boxes(objects: tuple[list[list[float]], list[int]]) -> None:
    boxes, class_ids = objects
    targets = {name: array[None] for name, array in encode(boxes, class_ids, max_objects=12).items()}
    (found,) = decode_centers(ideal_outputs(targets, cells=GRID.cells), k=20, stride=4)
    found = found.above(0.5)
    wanted = sorted(zip(class_ids, boxes, strict=True))
    answer = sorted(zip(found.class_ids.tolist(), found.boxes.tolist(), strict=True))
    assert [c for c, _ in answer] == [c for c, _ in wanted]
    # matched by class and centre, since rounding may swap boxes that share a coordinate
    for class_id, box in wanted:
        distances = [np.abs(np.subtract(other, box)).max() for c, other in answer if c == class_id]
        assert min(distances) < 1e-3
