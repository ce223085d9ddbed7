"""Golden alg_triplets_decode: the keypoint triplets' pairs of corners, and what their test makes of them."""

from __future__ import annotations

from pathlib import Path

import nnabla as nn
import numpy as np
import pytest

from centernet.structures import Array, Detections, Grid
from centernet.tasks._keypoints.decode import best_peaks
from centernet.tasks.triplet import decode
from centernet.tasks.triplet.graph import decode_graph
from centernet.tasks.triplet.targets import POINTS

pytestmark = pytest.mark.reference

SCORE, CLASS = 4, 7  # columns of a detection: box, score, scores of both corners, class
PAIRED = -1.0  # the score of what is no pair


@pytest.fixture(scope="module")
def golden(reference: Path) -> dict[str, Array]:
    return dict(np.load(reference / "torch" / "alg_triplets_decode.npz"))


@pytest.fixture
def maps(golden: dict[str, Array]) -> dict[str, Array]:
    return {name: golden[name] for name in decode.HEADS}


def matched(golden: dict[str, Array], factor: float) -> Array:
    """The golden's rescaled pairs, enlarged, with the score of each one's central region."""
    rows, points = golden["rescaled_det"][0], golden["rescaled_center"][0]
    rows = rows[rows[:, SCORE] > PAIRED]
    which = decode.matching_centers(factor * rows[:, :4], rows[:, CLASS], factor * points[:, :2], points[:, 2])
    scores = np.where(which >= 0, (2 * rows[:, SCORE] + points[which, 3]) / 3, PAIRED)
    return np.column_stack([factor * rows[:, :4], scores, rows[:, CLASS]])


def in_order(rows: Array) -> Array:
    return rows[np.lexsort(np.round(rows[:, :SCORE].T, 3))]


def test_corners_are_paired_as_in_the_published_test(golden: dict[str, Array], maps: dict[str, Array]) -> None:
    limit = int(golden["K"])
    tl, br, ct = (decode.keypoints(maps, p, 0, cells=best_peaks(maps[f"{p}_heat"][0], limit)) for p in POINTS)
    pairs = decode.corner_pairs(tl, br, ae_threshold=float(golden["ae_threshold"]), limit=int(golden["num_dets"]))
    expected = golden["detections"][0]
    expected = expected[expected[:, SCORE] > PAIRED]
    found = np.column_stack([pairs.boxes, pairs.scores, pairs.class_ids])
    np.testing.assert_allclose(in_order(found), in_order(expected[:, [0, 1, 2, 3, SCORE, CLASS]]), atol=1e-4)
    centers = np.column_stack([ct.points, ct.class_ids, ct.scores])
    np.testing.assert_allclose(centers, golden["centers"][0], atol=1e-4)


@pytest.mark.parametrize(("name", "factor"), [("matched", 1.0), ("matched_x4", 4.0)])
def test_boxes_of_either_size_find_their_centres_as_in_the_published_test(golden: dict[str, Array], name: str, factor: float) -> None:
    assert_rows_equal(matched(golden, factor), golden[name][:, [0, 1, 2, 3, SCORE, CLASS]])


def assert_rows_equal(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(in_order(found), in_order(expected), atol=1e-3)


def test_arrays_and_graph_find_the_same_objects(golden: dict[str, Array], maps: dict[str, Array]) -> None:
    """The golden's input lacks a pixel to its cells, as 511 does; its boxes were clipped to the image in it, so scores only."""
    rows, columns = maps["tl_heat"].shape[2:]
    grid = Grid(4 * rows - 1, 4 * columns - 1)
    how = {"k": int(golden["num_dets"]), "grid": grid, "corners": int(golden["K"]), "ae_threshold": float(golden["ae_threshold"])}
    (found,) = decode.decode_triplets(maps, **how)
    graph = decode_graph({name: nn.Variable.from_numpy_array(array) for name, array in maps.items()}, layout="nchw", **how)
    nn.forward_all(list(graph.values()))
    (other,) = decode.read_decoded({name: variable.d for name, variable in graph.items()})
    assert_close(other, found)
    expected = golden["matched"][golden["matched"][:, SCORE] > PAIRED]
    unclipped = (
        (expected[:, 0] > 0) & (expected[:, 1] > 0) & (expected[:, 2] < golden["sizes"][0, 1]) & (expected[:, 3] < golden["sizes"][0, 0])
    )
    assert unclipped.sum() > 3
    for score in expected[unclipped, SCORE]:
        assert abs(found.scores - score).min() < 1e-5


def assert_close(found: Detections, expected: Detections) -> None:
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
