"""Golden alg_ctdet_decode: the official decoder, with and without offsets and with a size for each class, and its way to the image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nnabla as nn
import numpy as np
import pytest

from centernet.geometry.affine import center_scale_matrix, invert, transform_boxes
from centernet.structures import Array, Detections
from centernet.tasks._keypoints.decode import merge_scales
from centernet.tasks.ctdet.decode import decode_centers, read_decoded
from centernet.tasks.ctdet.graph import decode_graph

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def golden(reference: Path) -> dict[str, Array]:
    return dict(np.load(reference / "torch" / "alg_ctdet_decode.npz"))


def maps_of(golden: Mapping[str, Array]) -> dict[str, Array]:
    """Ours are logits, theirs probabilities."""
    probability = golden["hm"].astype(np.float64)
    logits = np.log(probability / (1 - probability)).astype(np.float32)
    return {"heatmap": logits, "size": golden["wh"], "offset": golden["reg"]}


def in_graph(maps: Mapping[str, Array], k: int) -> Detections:
    outputs = decode_graph({name: nn.Variable.from_numpy_array(array) for name, array in maps.items()}, k=k, stride=1, layout="nchw")
    nn.forward_all(list(outputs.values()))
    return read_decoded({name: variable.d for name, variable in outputs.items()})[0]


def assert_same(found: Detections, rows: Array) -> None:
    """Equal scores have no defined order."""
    np.testing.assert_allclose(found.scores, rows[:, 4], atol=1e-5)
    ours = np.column_stack([found.boxes, found.scores, found.class_ids])
    for score in np.unique(rows[:, 4].round(5)):
        one, other = (table[np.abs(table[:, 4] - score) < 1e-5] for table in (ours, rows))
        np.testing.assert_allclose(one[np.lexsort(one.T)], other[np.lexsort(other.T)], atol=1e-4)


def test_the_decoder_finds_what_the_official_one_finds_as_arrays_and_in_the_graph(golden: dict[str, Array]) -> None:
    maps, k = maps_of(golden), int(golden["K"])
    without = {**maps, "offset": np.full_like(maps["offset"], 0.5)}
    for given, name in ((maps, "dets"), (without, "dets_noreg")):
        assert_same(decode_centers(given, k=k, stride=1)[0], golden[name][0])
        assert_same(in_graph(given, k), golden[name][0])


def test_a_size_for_each_class_is_decoded_class_by_class(golden: dict[str, Array]) -> None:
    maps, k = maps_of(golden), int(golden["K"])
    parts = []
    for class_id in range(maps["heatmap"].shape[1]):
        of_class = {"heatmap": maps["heatmap"][:, [class_id]], "size": golden["wh_cat"][:, 2 * class_id : 2 * class_id + 2]}
        (found,) = decode_centers({**maps, **of_class}, k=k, stride=1)
        parts.append(Detections(found.boxes, found.scores, found.class_ids + class_id))
    assert_same(merge_scales(parts, limit=k), golden["dets_cat"][0])


def test_boxes_come_to_the_image_as_the_official_ones(golden: dict[str, Array]) -> None:
    rows, columns = golden["hm"].shape[2:]
    (found,) = decode_centers(maps_of(golden), k=int(golden["K"]), stride=1)
    matrix = center_scale_matrix(golden["c"], float(golden["s"]), (columns, rows))
    boxes = transform_boxes(found.boxes, invert(matrix))
    order = np.lexsort((found.scores, found.class_ids))
    expected = golden["post"]
    score, class_id = expected[:, 4], expected[:, 5]
    # Its rows are grouped by class; the number of the class counts from 0 or from 1.
    wanted = np.lexsort((score, class_id))
    np.testing.assert_array_equal(np.diff(found.class_ids[order]), np.diff(class_id[wanted]))
    np.testing.assert_allclose(boxes[order], expected[wanted, :4], atol=1e-2)
