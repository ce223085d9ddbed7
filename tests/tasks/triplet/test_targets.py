from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.geometry.gaussian import draw_gaussian, gaussian_radius
from centernet.structures import Array, Grid, Sample
from centernet.tasks._keypoints.targets import RadiusFunction
from centernet.tasks.triplet.targets import POINTS, encode_triplets, ideal_outputs

GRID = Grid(64, 96, 4)  # 16 x 24 cells


def encode(
    boxes: object, class_ids: object, *, max_objects: int = 4, radius: RadiusFunction = gaussian_radius, grid: Grid = GRID
) -> dict[str, Array]:
    image = np.zeros((grid.height, grid.width, 3), np.uint8)
    sample = Sample(image=image, boxes=np.reshape(boxes, (-1, 4)), class_ids=class_ids, name="street.jpg")
    return encode_triplets(sample, grid, num_classes=3, max_objects=max_objects, radius=radius, min_overlap=0.7)


def test_one_object_by_hand() -> None:
    targets = encode([[10, 20, 31, 42]], [1])
    # cells: 2.5..7.75 across, 5..10.5 down; centre (5.125, 7.75)
    wanted = {"tl": ((2, 5), (0.5, 0)), "br": ((7, 10), (0.75, 0.5)), "ct": ((5, 7), (0.125, 0.75))}
    for point, ((x, y), offset) in wanted.items():
        assert targets[f"{point}_indices"].tolist() == [y * 24 + x, 0, 0, 0]
        np.testing.assert_allclose(targets[f"{point}_offset"], [offset, (0, 0), (0, 0), (0, 0)])
        assert np.argwhere(targets[f"{point}_heat"] == 1).tolist() == [[1, y, x]]
        assert targets[f"num_{point}_peaks"] == 1
    assert targets["mask"].tolist() == [1, 0, 0, 0]
    assert (targets["num_objects"], targets["num_images"]) == (1, 1)


def test_peaks_of_centres_are_wider_than_those_of_corners() -> None:
    targets = encode([[10, 20, 31, 42]], [1], radius=lambda *_: 2)
    for point, sigmas in (("tl", 6), ("br", 6), ("ct", 5)):
        expected = np.zeros((16, 24), np.float32)
        y, x = divmod(int(targets[f"{point}_indices"][0]), 24)
        draw_gaussian(expected, (x, y), 2, sigmas=sigmas)
        np.testing.assert_array_equal(targets[f"{point}_heat"][1], expected)


def test_the_radius_is_of_the_sides_rounded_up_and_truncated() -> None:
    asked = []

    def radius(height: float, width: float, min_overlap: float) -> float:
        asked.append((height, width, min_overlap))
        return 1.9

    targets = encode([[10, 20, 31, 42]], [1], radius=radius)
    assert asked == [(6, 6, 0.7)]
    assert np.count_nonzero(targets["tl_heat"]) == 9


def test_shapes_and_types_are_as_promised() -> None:
    shapes = {name: (array.shape, array.dtype.name) for name, array in encode([[0, 0, 9, 9]], [0]).items()}
    each = {"heat": ((3, 16, 24), "float32"), "indices": ((4,), "int32"), "offset": ((4, 2), "float32")}
    expected = {f"{point}_{name}": what for name, what in each.items() for point in POINTS}
    counts = ("num_tl_peaks", "num_br_peaks", "num_ct_peaks", "num_objects", "num_images")
    assert shapes == {**expected, "mask": ((4,), "float32"), **dict.fromkeys(counts, ((), "float32"))}


def test_without_objects_everything_is_zero_but_the_number_of_images() -> None:
    assert [name for name, array in encode([], []).items() if array.any()] == ["num_images"]


def test_boxes_are_clipped_to_the_image_whose_far_sides_are_in_its_last_cells() -> None:
    targets = encode([[-50, -50, 500, 500]], [0])
    assert [int(targets[f"{point}_indices"][0]) for point in POINTS] == [0, 15 * 24 + 23, 8 * 24 + 12]
    assert [targets[f"{point}_offset"][0].tolist() for point in POINTS] == [[0, 0], [1, 1], [0, 0]]


def test_an_image_one_pixel_less_than_its_cells_is_spread_over_all_of_them() -> None:
    targets = encode([[0, 0, 63, 63], [21, 21, 42, 42]], [0, 0], grid=Grid(63, 63, 4))
    assert targets["br_indices"][:2].tolist() == [15 * 16 + 15, 10 * 16 + 10]
    np.testing.assert_allclose(targets["br_offset"][:2], [[1, 1], [2 / 3, 2 / 3]], rtol=1e-5)


def test_a_dropped_object_keeps_its_row() -> None:
    outside, zero_width, good = [200, 10, 240, 30], [20, 20, 20, 40], [8, 8, 24, 24]
    targets = encode([outside, zero_width, good], [0, 1, 2])
    assert targets["mask"].tolist() == [0, 0, 1, 0]
    assert targets["num_objects"] == 1
    for point in POINTS:
        assert not targets[f"{point}_indices"][:2].any()
        assert not targets[f"{point}_heat"][:2].any()


def test_only_the_first_objects_count() -> None:
    targets = encode([[8 * i, 8, 8 * i + 8, 24] for i in range(6)], [0] * 6, max_objects=4)
    assert targets["mask"].tolist() == [1, 1, 1, 1]
    assert targets["num_tl_peaks"] == 4


def test_keypoints_of_one_class_in_one_cell_are_one_peak() -> None:
    targets = encode([[8, 8, 24, 24], [9, 9, 40, 24]], [0, 0])
    assert [int(targets[f"num_{point}_peaks"]) for point in POINTS] == [1, 2, 2]
    assert targets["num_objects"] == 2


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
        targets = encode_triplets(sample, GRID, num_classes=3, max_objects=4, radius=gaussian_radius, min_overlap=0.7, out=out)
        expected = encode(boxes, class_ids)
        assert targets.keys() == expected.keys()
        for name, array in expected.items():
            assert targets[name] is out[name]
            np.testing.assert_array_equal(targets[name], array, err_msg=name)
        for point in POINTS:
            assert targets[f"num_{point}_peaks"] == (expected[f"{point}_heat"] == 1).sum()
    assert (out["image"] == 7).all()


def test_ideal_embeddings_pair_the_corners_of_an_object_and_no_others() -> None:
    boxes = [[8, 8, 33, 41], [40, 12, 83, 55], [9, 30, 20, 52]]
    targets = {name: array[None] for name, array in encode(boxes, [0, 2, 1]).items()}
    outputs = ideal_outputs(targets, cells=GRID.cells)
    first, second = (outputs[f"{point}_tag"].reshape(-1) for point in ("tl", "br"))
    paired = np.argwhere(np.abs(first[:, None] - second[None, :]) < 1)
    wanted = zip(targets["tl_indices"][0, :3].tolist(), targets["br_indices"][0, :3].tolist(), strict=True)
    assert sorted(map(tuple, paired.tolist())) == sorted(wanted)
