"""The predecessor's detections from given head maps, in the heatmap's and in the image's coordinates."""

from __future__ import annotations

import json
from pathlib import Path

import nnabla as nn
import numpy as np
import pytest

from centernet.geometry.affine import center_scale_matrix, invert, transform_boxes
from centernet.structures import Array
from centernet.tasks.ctdet.decode import decode_centers, read_decoded
from centernet.tasks.ctdet.graph import decode_graph

pytestmark = pytest.mark.reference
Golden = dict[str, Array]


@pytest.fixture(scope="module")
def golden(reference: Path) -> Golden:
    return dict(np.load(reference / "nnabla" / "06_decode.npz"))


def maps_of(golden: Golden, i: int) -> dict[str, Array]:
    offset = golden[f"d{i}_reg"] if golden[f"d{i}_with_reg"] else np.full_like(golden[f"d{i}_reg"], 0.5)
    return {"heatmap": golden[f"d{i}_hm_logit"], "size": golden[f"d{i}_wh"], "offset": offset}


@pytest.mark.parametrize("way", ["arrays", "graph"])
def test_decoding_gives_the_predecessors_detections(golden: Golden, way: str) -> None:
    for i, case in enumerate(json.loads(str(golden["meta_json"]))):
        maps, k, expected = maps_of(golden, i), int(golden[f"d{i}_K"]), golden[f"d{i}_dets"][0]
        if way == "arrays":
            (found,) = decode_centers(maps, k=k, stride=1)
        else:
            graph = decode_graph({n: nn.Variable.from_numpy_array(m) for n, m in maps.items()}, k=k, stride=1, layout="nchw")
            nn.forward_all(list(graph.values()))
            (found,) = read_decoded({name: variable.d for name, variable in graph.items()})
        assert len(found) == k
        sure = slice(0, case["n_unique_prefix"])
        np.testing.assert_allclose(found.boxes[sure], expected[sure, :4], atol=1e-4)
        np.testing.assert_allclose(found.scores, expected[:, 4], atol=1e-5)
        np.testing.assert_array_equal(found.class_ids[sure], expected[sure, 5])


def test_boxes_in_image_pixels_are_the_predecessors(golden: Golden) -> None:
    for i in range(len(json.loads(str(golden["meta_json"])))):
        rows, columns = golden[f"d{i}_hm_logit"].shape[2:]
        found = golden[f"d{i}_dets"][0]
        j = 0
        while f"d{i}_pp{j}" in golden:
            scale = golden[f"d{i}_pp{j}_s"]
            matrix = center_scale_matrix(golden[f"d{i}_pp{j}_c"], scale if len(scale) > 1 else float(scale[0]), (columns, rows))
            boxes = transform_boxes(found[:, :4], invert(matrix))
            class_major = np.argsort(found[:, 5], kind="stable")
            expected = golden[f"d{i}_pp{j}"]
            np.testing.assert_allclose(boxes[class_major], expected[:, 1:5], atol=1e-2)
            np.testing.assert_array_equal(found[class_major, 5] + 1, expected[:, 0])
            j += 1
        assert j > 0
