"""Golden alg_flip: the official flip test of the detection heads."""

from __future__ import annotations

from pathlib import Path

import nnabla as nn
import numpy as np
import pytest

from centernet.structures import Array, Detections
from centernet.tasks._keypoints.decode import sigmoid
from centernet.tasks.ctdet.decode import decode_centers, merge_flipped, read_decoded
from centernet.tasks.ctdet.graph import decode_graph

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def golden(reference: Path) -> dict[str, Array]:
    return dict(np.load(reference / "torch" / "alg_flip.npz"))


@pytest.fixture
def maps(golden: dict[str, Array]) -> dict[str, Array]:
    """Ours are logits, theirs probabilities."""
    probability = golden["hm_sigmoid"].astype(np.float64)
    logits = np.log(probability / (1 - probability)).astype(np.float32)
    return {"heatmap": logits, "size": golden["wh"], "offset": golden["reg"]}


def assert_same(found: Detections, rows: Array) -> None:
    np.testing.assert_allclose(np.column_stack([found.boxes, found.scores, found.class_ids]), rows, atol=1e-4)


def test_the_maps_are_averaged_as_the_official_ones(golden: dict[str, Array], maps: dict[str, Array]) -> None:
    merged = merge_flipped(maps)
    np.testing.assert_allclose(sigmoid(merged["heatmap"]), golden["hm_avg"], atol=1e-6)
    np.testing.assert_allclose(merged["size"], golden["wh_avg"], atol=1e-5)
    np.testing.assert_array_equal(merged["offset"], golden["reg_used"])


def test_arrays_and_graph_find_what_the_official_flip_test_finds(golden: dict[str, Array], maps: dict[str, Array]) -> None:
    expected = golden["dets"][0]
    assert (np.diff(expected[:, 4]) < 0).all(), "equal scores would have no defined order"
    assert_same(decode_centers(merge_flipped(maps), k=len(expected), stride=1)[0], expected)
    fed = {name: nn.Variable.from_numpy_array(array) for name, array in maps.items()}
    outputs = decode_graph(fed, k=len(expected), stride=1, layout="nchw", flipped=True)
    nn.forward_all(list(outputs.values()))
    assert_same(read_decoded({name: variable.d for name, variable in outputs.items()})[0], expected)
