from __future__ import annotations

import numpy as np
import pytest

from centernet.structures import Array
from centernet.tasks._keypoints.decode import sigmoid
from centernet.tasks.ctdet.decode import decode_centers, merge_flipped, read_decoded


def maps_of(heatmap: Array, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shape = (len(heatmap), 2, *heatmap.shape[2:])
    size, offset = rng.uniform(0, 9, shape).astype(np.float32), rng.random(shape).astype(np.float32)
    return {"heatmap": heatmap, "size": size, "offset": offset}


def slow_decode(maps: dict[str, Array], image: int, k: int, stride: int) -> list[list[float]]:
    """[x1, y1, x2, y2, score, class] of the k best maxima, cell by cell."""
    heatmap, rows = maps["heatmap"][image], []
    for class_id, y, x in np.ndindex(*heatmap.shape):
        if heatmap[class_id, y, x] < heatmap[class_id, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].max():
            continue
        width, height = maps["size"][image, :, y, x].tolist()
        cx, cy = x + float(maps["offset"][image, 0, y, x]), y + float(maps["offset"][image, 1, y, x])
        box = [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2]
        rows.append([*(stride * v for v in box), 1 / (1 + np.exp(-float(heatmap[class_id, y, x]))), class_id])
    return sorted(rows, key=lambda row: -row[4])[:k]


@pytest.mark.parametrize("shape", [(2, 3, 8, 6), (1, 1, 1, 1), (1, 2, 1, 7), (3, 1, 5, 1), (1, 80, 16, 16)])
def test_decoding_equals_its_slow_version(shape: tuple[int, ...]) -> None:
    maps = maps_of(np.random.default_rng(1).normal(size=shape).astype(np.float32))
    peaks = min(len(slow_decode(maps, image, 10**6, 4)) for image in range(shape[0]))
    k = min(peaks, 12)
    found = decode_centers(maps, k=k, stride=4)
    for image, detections in enumerate(found):
        expected = np.asarray(slow_decode(maps, image, k, 4))
        np.testing.assert_allclose(detections.boxes, expected[:, :4], atol=1e-4)
        np.testing.assert_allclose(detections.scores, expected[:, 4], atol=1e-6)
        np.testing.assert_array_equal(detections.class_ids, expected[:, 5])


def test_there_are_always_k_detections_and_those_beyond_the_maxima_score_nothing() -> None:
    heatmap = -np.abs(np.indices((1, 1, 6, 6))[2:] - 2).sum(0).astype(np.float32)  # one hill, one maximum
    (found,) = decode_centers(maps_of(heatmap), k=36, stride=4)
    assert len(found) == 36
    assert found.scores[0] == 0.5
    assert not found.scores[1:].any()


def test_saturated_neighbours_are_one_object() -> None:
    heatmap = np.full((1, 1, 5, 5), -9, np.float32)
    heatmap[0, 0, 2, 1:4] = 40, 41, 40  # all 1 after a sigmoid in float32
    (found,) = decode_centers(maps_of(heatmap), k=3, stride=4)
    assert np.count_nonzero(found.above(0.5).scores) == 1


@pytest.mark.parametrize("k", [0, -1, 25])
def test_k_out_of_range_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 24"):
        decode_centers(maps_of(np.zeros((1, 2, 3, 4), np.float32)), k=k, stride=4)


def test_maps_that_do_not_belong_together_are_refused() -> None:
    maps = maps_of(np.zeros((1, 2, 3, 4), np.float32))
    for name, shape in (("size", (1, 2, 3, 5)), ("offset", (1, 3, 3, 4)), ("heatmap", (2, 3, 4))):
        with pytest.raises(ValueError, match="do not belong together"):
            decode_centers({**maps, name: np.zeros(shape, np.float32)}, k=1, stride=4)


def test_the_inputs_are_not_modified() -> None:
    maps = maps_of(np.random.default_rng(1).normal(size=(2, 3, 8, 6)).astype(np.float32))
    before = {name: array.copy() for name, array in maps.items()}
    decode_centers(maps, k=5, stride=4)
    merge_flipped(maps)
    assert all((maps[name] == before[name]).all() for name in maps)


def test_merging_with_the_mirror_image_averages_probabilities_and_sizes() -> None:
    maps = maps_of(np.random.default_rng(2).normal(size=(4, 3, 5, 6)).astype(np.float32) * 4)
    merged = merge_flipped(maps)
    probability = (sigmoid(maps["heatmap"][:2]) + sigmoid(maps["heatmap"][2:, :, :, ::-1])) / 2
    np.testing.assert_allclose(sigmoid(merged["heatmap"]), probability, atol=1e-6)
    np.testing.assert_allclose(merged["size"], (maps["size"][:2] + maps["size"][2:, :, :, ::-1]) / 2, atol=1e-6)
    np.testing.assert_array_equal(merged["offset"], maps["offset"][:2])
    assert {array.dtype.name for array in merged.values()} == {"float32"}


def test_merging_with_the_mirror_image_keeps_certainty_finite() -> None:
    merged = merge_flipped(maps_of(np.asarray([-500.0, 500.0], np.float32).reshape(1, 1, 1, 2).repeat(2, 0)))
    np.testing.assert_allclose(merged["heatmap"].ravel(), [0, 0], atol=1e-6)  # the mirror image says the opposite


def test_an_odd_number_of_images_has_no_mirror_images() -> None:
    with pytest.raises(ValueError, match="mirror"):
        merge_flipped(maps_of(np.zeros((3, 1, 2, 2), np.float32)))


def test_decoded_arrays_of_any_type_are_read() -> None:
    arrays = {"boxes": np.ones((2, 3, 4), np.float64), "scores": np.ones((2, 3)), "class_ids": np.full((2, 3), 1.9999999)}
    found = read_decoded(arrays)
    assert [len(d) for d in found] == [3, 3]
    assert found[0].class_ids.tolist() == [2, 2, 2]


def test_distances_decode_from_the_middle_of_the_cell() -> None:
    heatmap, ltrb = np.full((1, 2, 4, 5), -9, np.float32), np.zeros((1, 4, 4, 5), np.float32)
    heatmap[0, 1, 2, 3], ltrb[0, :, 2, 3] = 3, [1, 0.5, 2, -0.25]
    (found,) = decode_centers({"heatmap": heatmap, "ltrb": ltrb}, k=1, stride=4)
    assert found.boxes.tolist() == [[4 * 2.5, 4 * 2.0, 4 * 5.5, 4 * 2.25]]
    assert found.class_ids.tolist() == [1]


def test_of_sizes_for_each_class_that_of_the_detections_class_counts() -> None:
    heatmap, size = np.full((1, 2, 3, 3), -9, np.float32), np.zeros((1, 4, 3, 3), np.float32)
    heatmap[0, :, 1, 1], size[0, :, 1, 1] = [3, 5], [1, 1, 2, 4]
    (found,) = decode_centers({"heatmap": heatmap, "size": size, "offset": np.zeros((1, 2, 3, 3), np.float32)}, k=2, stride=1)
    assert found.class_ids.tolist() == [1, 0]
    assert found.boxes.tolist() == [[0, -1, 2, 3], [0.5, 0.5, 1.5, 1.5]]


def test_a_mirror_image_swaps_left_and_right() -> None:
    rng = np.random.default_rng(0)
    maps = {"heatmap": rng.normal(size=(1, 2, 3, 4)), "ltrb": rng.uniform(0, 5, (1, 4, 3, 4))}
    mirror = {"heatmap": maps["heatmap"][..., ::-1], "ltrb": maps["ltrb"][:, [2, 1, 0, 3], :, ::-1]}
    merged = merge_flipped({name: np.concatenate([array, mirror[name]]).astype(np.float32) for name, array in maps.items()})
    for name, array in maps.items():
        np.testing.assert_allclose(merged[name], array, rtol=1e-5)


def test_distances_need_four_channels() -> None:
    with pytest.raises(ValueError, match=r"expected heatmap \(B, C, h, w\), ltrb \(B, 4, h, w\)"):
        decode_centers({"heatmap": np.zeros((1, 2, 3, 3)), "ltrb": np.zeros((1, 2, 3, 3))}, k=1, stride=4)
