"""The predecessor's merging of detections from several test scales."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from centernet.geometry.affine import center_scale_matrix, invert, transform_boxes
from centernet.structures import Array, Detections
from centernet.tasks._keypoints.decode import merge_scales

pytestmark = pytest.mark.reference
Golden = dict[str, Array]
LIMIT = 128  # the predecessor's max_per_image


@pytest.fixture(scope="module")
def golden(reference: Path) -> Golden:
    return dict(np.load(reference / "nnabla" / "08_merge_outputs.npz"))


def sorted_rows(detections: Detections) -> Array:
    """[class, x1, y1, x2, y2, score], in an order that does not depend on that of equal scores."""
    rows = np.concatenate([detections.class_ids[:, None], detections.boxes, detections.scores[:, None]], axis=1)
    return rows[np.lexsort(rows.T)]


def heatmap_size(golden: Golden) -> tuple[int, int]:
    """(columns, rows) of the square map the detections are in, which the file tells only by what became of the best one."""
    scale, row = np.unravel_index(golden["pm_dets"][..., 4].argmax(), golden["pm_dets"].shape[:2])
    found, became = golden["pm_dets"][scale, row], golden["pm_out"][golden["pm_out"][:, 5].argmax()]
    side = max(golden["pm_image_hw"]) / golden["pm_scales"][scale] * (found[2] - found[0]) / (became[3] - became[1])
    return round(float(side)), round(float(side))


def test_merging_keeps_what_the_predecessor_keeps(golden: Golden) -> None:
    cases = [case for case in json.loads(str(golden["meta_json"])) if isinstance(case["case"], int)]
    assert cases
    for case in cases:
        rows, expected = golden[f"m{case['case']}_in"], golden[f"m{case['case']}_out"]
        parts = [rows[rows[:, 0] == scale] for scale in range(case["scales"])]
        merged = merge_scales([Detections(p[:, 2:6], p[:, 6], p[:, 1].astype(int)) for p in parts], limit=LIMIT)
        assert (np.diff(merged.scores) <= 0).all()
        np.testing.assert_array_equal(sorted_rows(merged), expected[np.lexsort(expected.T)])


def test_three_scales_give_the_predecessors_boxes_in_the_image(golden: Golden) -> None:
    height, width = golden["pm_image_hw"].tolist()
    parts = []
    for scale, found in zip(golden["pm_scales"].tolist(), golden["pm_dets"], strict=True):
        center = np.asarray([int(width * scale), int(height * scale)]) / 2
        matrix = center_scale_matrix(center, float(max(height, width)), heatmap_size(golden))
        boxes = transform_boxes(found[:, :4], invert(matrix)) / scale
        parts.append(Detections(boxes, found[:, 4], found[:, 5].astype(int) + 1))
    merged = sorted_rows(merge_scales(parts, limit=LIMIT))
    expected = golden["pm_out"]
    np.testing.assert_allclose(merged, expected[np.lexsort(expected.T)], atol=1e-2)
