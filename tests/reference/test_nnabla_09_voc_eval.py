"""The average precision that the predecessor's copy of the VOC development kit computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.metrics.voc_ap import Curve, VocAP, area_ap, eleven_point_ap, precision_recall
from centernet.structures import Annotations, Array, ClassTable, Detections

pytestmark = pytest.mark.reference
Golden = dict[str, Array]


@pytest.fixture(scope="module")
def golden(reference: Path) -> Golden:
    return dict(np.load(reference / "nnabla" / "09_voc_eval.npz"))


def curve_of(golden: Golden, class_id: int, *, use_difficult: bool = False, min_overlap: float = 0.5) -> Curve:
    truth = golden["gt"][golden["gt"][:, 1] == class_id]
    truth = truth[np.argsort(truth[:, 0], kind="stable")]
    found = written(golden["dets"])
    found = found[found[:, 1] == class_id]
    found = found[np.argsort(-found[:, 2], kind="stable")]
    return precision_recall(
        found[:, 0],
        found[:, 3:],
        truth_index=truth[:, 0],
        truth_boxes=truth[:, 2:6],
        is_ignored=truth[:, 6].astype(bool) & (not use_difficult),
        min_overlap=min_overlap,
    )


def written(detections: Array) -> Array:
    """The detections as its text files hold them: scores to 3 decimals, coordinates 1-based to 1 decimal."""
    rows = [[*row[:2], float(f"{row[2]:.3f}"), *(float(f"{x + 1:.1f}") for x in row[3:])] for row in detections.tolist()]
    return np.asarray(rows)


def aps(curve: Curve) -> tuple[float, float]:
    return eleven_point_ap(curve), area_ap(curve)


def test_ap_of_each_class_is_the_predecessors(golden: Golden) -> None:
    for class_id, expected in enumerate(golden["ap_all_07_then_area"]):
        if not (golden["gt"][:, 1] == class_id).any():
            assert np.isnan(aps(curve_of(golden, class_id))).all()  # the predecessor: 0 and nan
        else:
            np.testing.assert_allclose(aps(curve_of(golden, class_id)), expected, atol=1e-9)


def test_the_curves_are_the_predecessors(golden: Golden) -> None:
    for class_id in golden["classes"].tolist():
        curve = curve_of(golden, class_id)
        np.testing.assert_allclose(curve.recall, golden[f"rec_{class_id}"], atol=1e-9)
        np.testing.assert_allclose(curve.precision, golden[f"prec_{class_id}"], atol=1e-9)


def test_other_rules_give_the_predecessors_ap(golden: Golden) -> None:
    for row, class_id in enumerate(golden["classes"].tolist()):
        np.testing.assert_allclose(aps(curve_of(golden, class_id, use_difficult=True)), golden["ap_usediff"][row], atol=1e-9)
        np.testing.assert_allclose(aps(curve_of(golden, class_id, min_overlap=0.75)), golden["ap_iou75"][row], atol=1e-9)


def test_the_mean_over_all_classes_is_the_predecessors_when_empty_ones_count_zero(golden: Golden) -> None:
    num_classes, num_images = len(golden["ap_all_07_then_area"]), int(golden["n_images"])
    truth = golden["gt"][np.argsort(golden["gt"][:, 0], kind="stable")]
    annotations = Annotations(
        image_ids=np.arange(num_images),
        image_sizes=np.zeros((num_images, 2), np.int32),
        file_names=[""] * num_images,
        image_index=truth[:, 0],
        boxes=truth[:, 2:6].astype(float),
        class_ids=truth[:, 1],
        areas=np.ones(len(truth)),
        is_crowd=np.zeros(len(truth), bool),
        is_difficult=truth[:, 6].astype(bool),
    )
    metric = VocAP(annotations, ClassTable(tuple(str(c) for c in range(num_classes))))
    found = written(golden["dets"])
    for image in range(num_images):
        rows = found[found[:, 0] == image]
        rows = rows[np.argsort(-rows[:, 2], kind="stable")]
        metric.update(image, Detections(rows[:, 3:], rows[:, 2], rows[:, 1].astype(int)))
    result = metric.compute()
    assert result["AP50_all_classes"] == pytest.approx(float(golden["mean_ap_20_classes_07"]), abs=1e-9)
    assert result["per_class"][str(int(golden["class_without_gt"]))]["AP"] == -1
