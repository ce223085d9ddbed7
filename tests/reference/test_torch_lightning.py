"""Golden alg_lightning: centernet-lightning's heatmaps, overlap losses, quality focal loss and decoder of distances."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.geometry.gaussian import Elliptic, draw_gaussian, gaussian_radius
from centernet.structures import Array
from centernet.tasks._keypoints.losses import focal_loss
from centernet.tasks.ctdet.config import OverlapLoss
from centernet.tasks.ctdet.decode import decode_centers
from centernet.tasks.ctdet.losses import box_loss, heatmap_loss
from centernet.tasks.ctdet.overlap.losses import overlap_loss
from centernet.tasks.ctdet.regions import Region, draw_regions

pytestmark = pytest.mark.reference
STRIDE = 4


@pytest.fixture(scope="module")
def golden(reference: Path) -> Mapping[str, Array]:
    return dict(np.load(reference / "torch" / "alg_lightning.npz"))


def fed(array: object, *, learns: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(array, np.float32), need_grad=learns)


def radii_of(kind: str, height: float, width: float) -> tuple[int, int]:
    """It rounds TTFNet's radii, where we and the original truncate; `fixed` is 2 cells."""
    if kind == "ttfnet":
        return round(width / 2 * Elliptic().alpha), round(height / 2 * Elliptic().alpha)
    radius = 2 if kind == "fixed" else int(gaussian_radius(height, width))
    return radius, radius


@pytest.mark.parametrize("kind", ["ttfnet", "cornernet", "fixed"])
def test_the_peaks_are_those_of_lightning(golden: Mapping[str, Array], kind: str) -> None:
    for image, expected in enumerate(golden[f"target_{kind}"]):
        heatmap = np.zeros_like(expected)
        for box, label in zip(golden["boxes_xywh"][image] / STRIDE, golden["labels"][image].tolist(), strict=True):
            x, y, width, height = box.tolist()
            draw_gaussian(heatmap[label], (round(x + width / 2), round(y + height / 2)), radii_of(kind, height, width))
        np.testing.assert_allclose(heatmap, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["iou", "giou", "diou", "ciou"])
def test_overlaps_are_those_of_lightning(golden: Mapping[str, Array], kind: OverlapLoss) -> None:
    boxes, targets = (fed(golden[name].T[None]) for name in ("boxes1", "boxes2"))
    loss = overlap_loss(boxes, targets, kind=kind)
    loss.forward()
    names = {"iou": "IoULoss", "giou": "GIoULoss", "diou": "DIoULoss", "ciou": "CIoULoss"}
    np.testing.assert_allclose(loss.d[0, 0], golden[names[kind]], atol=1e-5)


def test_the_quality_focal_loss_is_that_of_lightning(golden: Mapping[str, Array], scalars: Any) -> None:
    targets = {"heatmap": fed(golden["target_ttfnet"]), "num_peaks": fed(1)}
    loss = heatmap_loss(fed(golden["heatmap_logit"]), targets, kind="quality_focal", layout="nchw")
    loss.forward()
    assert float(loss.d) == pytest.approx(scalars["light_quality_focal_sum"], rel=1e-5)


@pytest.mark.parametrize("kind", ["ttfnet", "cornernet", "fixed"])
def test_the_focal_loss_is_that_of_lightning(golden: Mapping[str, Array], scalars: Any, kind: str) -> None:
    heatmap, logits = golden[f"target_{kind}"], fed(golden["heatmap_logit"], learns=True)
    loss = focal_loss(logits, fed(heatmap), fed((heatmap == 1).sum()), layout="nchw")
    loss.forward()
    assert float(loss.d) == pytest.approx(scalars[f"light_{kind}"]["heatmap"], rel=1e-5)
    logits.g = 0
    loss.backward()
    assert np.linalg.norm(logits.g) == pytest.approx(scalars[f"light_{kind}_grads"][0], rel=1e-4)


def test_distances_decode_as_in_lightning(golden: Mapping[str, Array]) -> None:
    count = golden["dec_scores"].shape[1]
    maps = {"heatmap": golden["heatmap_logit"], "ltrb": golden["box_pred"]}
    found = decode_centers(maps, k=3 * count, stride=STRIDE)
    for detections, boxes, scores, labels in zip(found, golden["dec_boxes"], golden["dec_scores"], golden["dec_labels"], strict=True):
        _, first = np.unique(detections.boxes, axis=0, return_index=True)  # it has the best class of a cell only
        best = detections.select(np.sort(first)[:count])
        np.testing.assert_allclose(best.scores, scores, atol=1e-6)
        np.testing.assert_allclose(best.boxes, boxes, atol=1e-4)
        np.testing.assert_array_equal(best.class_ids, labels)


@pytest.mark.parametrize("kind", ["ttfnet", "cornernet", "fixed"])
def test_the_boxes_of_3x3_cells_and_the_total_have_the_losses_of_lightning(golden: Mapping[str, Array], scalars: Any, kind: str) -> None:
    """There, a cell that two objects share counts for both, so each is a batch of its own here."""
    maps = fed(golden["box_pred"], learns=True)
    losses, num_cells = [], 0.0
    for image, number in np.ndindex(*golden["labels"].shape):
        x, y, width, height = (golden["boxes_xywh"][image, number].astype(float) / STRIDE).tolist()
        cell = round(x + width / 2), round(y + height / 2)
        weights, ltrb = np.zeros(maps.shape[2:], np.float32), np.zeros(maps.shape[1:], np.float32)
        draw_regions(weights, {"ltrb": ltrb}, [Region((x, y, x + width, y + height), cell, (1, 1), 1.0)], at="3x3")
        targets = {"ltrb": fed(ltrb[None]), "weights": fed(weights[None]), "total_weight": fed(1)}
        losses.append(box_loss("ltrb", {"ltrb": maps[image : image + 1]}, targets, kind="giou", relative=False, layout="nchw"))
        num_cells += weights.sum()
    loss = sum(losses[1:], losses[0]) * ((1 + 1e-4) / num_cells)
    loss.forward()
    maps.g = 0
    loss.backward()
    expected = scalars[f"light_{kind}"]
    assert float(loss.d) == pytest.approx(expected["box_2d"], rel=1e-5)
    assert expected["heatmap"] + 0.1 * float(loss.d) == pytest.approx(expected["total"], rel=1e-6)
    assert np.linalg.norm(maps.g) == pytest.approx(scalars[f"light_{kind}_grads"][1], rel=1e-3)
