"""Golden alg_ttfnet: the elliptic targets of TTFNet, and its losses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet.geometry.gaussian import Elliptic, draw_gaussian
from centernet.structures import Array
from centernet.tasks._keypoints.losses import focal_loss
from centernet.tasks.ctdet.config import Counting
from centernet.tasks.ctdet.losses import box_loss
from centernet.tasks.ctdet.overlap.losses import overlap_loss
from centernet.tasks.ctdet.regions import Region, draw_regions

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def golden(reference: Path) -> Mapping[str, Array]:
    return dict(np.load(reference / "torch" / "alg_ttfnet.npz"))


def regions_of(golden: Mapping[str, Array], image: int, alpha: float, cells: tuple[int, int]) -> list[Region]:
    """TTFNet clips boxes for the radii only: not for centres, areas and targets."""
    stride, found = int(golden["down_ratio"]), []
    for box in golden["boxes"][image].astype(np.float64):
        left, top, right, bottom = np.clip(box / stride, 0, [cells[1] - 1, cells[0] - 1] * 2)
        x, y = ((box[:2] + box[2:]) / 2 / stride).astype(int).tolist()
        width, height = (box[2:] - box[:2] + 1).tolist()
        radii = Elliptic(alpha).radii(bottom - top, right - left)
        found.append(Region(tuple((box / stride).tolist()), (x, y), radii, width * height))
    return found


@pytest.mark.parametrize(
    ("case", "weight"),
    [("a54_b54", "log_area"), ("a54_b20", "log_area"), ("a54_b54_sqrt", "sqrt_area"), ("a54_b54_norm", "equal")],
)
def test_heatmaps_weights_and_boxes_are_those_of_ttfnet(golden: Mapping[str, Array], case: str, weight: Counting) -> None:
    alpha, beta = (int(part[1:]) / 100 for part in case.split("_")[:2])
    heatmaps, stride = golden[f"{case}_heatmap"], int(golden["down_ratio"])
    cells = heatmaps.shape[2:]
    for image, expected in enumerate(heatmaps):
        heatmap = np.zeros_like(expected)
        for region, label in zip(regions_of(golden, image, alpha, cells), golden["labels_1based"][image].tolist(), strict=True):
            draw_gaussian(heatmap[label - 1], region.cell, region.radii)
        np.testing.assert_allclose(heatmap, expected, atol=1e-6)
        weights, ltrb = np.zeros(cells, np.float32), np.zeros((4, *cells), np.float32)
        draw_regions(weights, {"ltrb": ltrb}, regions_of(golden, image, beta, cells), at="gaussian", weight=weight)
        np.testing.assert_allclose(weights, golden[f"{case}_reg_weight"][image, 0], rtol=1e-5, atol=1e-7)
        y, x = np.nonzero(weights)
        middle = np.stack([x, y, x, y]) + 0.5
        boxes = (middle + ltrb[:, y, x] * np.array([-1, -1, 1, 1])[:, None]) * stride
        np.testing.assert_allclose(boxes, golden[f"{case}_box_target"][image][:, y, x], atol=1e-3)


def fed(array: object, *, learns: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(array, np.float32), need_grad=learns)


def assert_same(loss: nn.Variable, learning: nn.Variable, expected: list[float]) -> None:
    """Value, and norm of the gradient."""
    loss.forward()
    learning.g = 0
    loss.backward()
    value, norm = expected
    assert float(loss.d) == pytest.approx(value, rel=1e-5)
    assert np.linalg.norm(learning.g) == pytest.approx(norm, rel=1e-3)


def test_the_focal_loss_is_that_of_ttfnet(golden: Mapping[str, Array], scalars: Any) -> None:
    heatmap = golden["a54_b54_heatmap"]
    loss = focal_loss(fed(golden["pred_hm_logit"]), fed(heatmap), fed((heatmap == 1).sum()), layout="nchw")
    loss.forward()
    assert float(loss.d) == pytest.approx(scalars["ttf_hm_loss"][0], rel=1e-4)  # which clips probabilities


def test_the_box_loss_is_that_of_ttfnet(golden: Mapping[str, Array], scalars: Any) -> None:
    stride, weights = int(golden["down_ratio"]), golden["a54_b54_reg_weight"][:, 0]
    y, x = np.mgrid[: weights.shape[1], : weights.shape[2]]
    to_middle = np.stack([x, y, x, y]) * stride + stride / 2
    sign = np.array([-1, -1, 1, 1])[:, None, None]
    # Theirs are pixels from a cell's corner, boxes one pixel wider than their corners are apart.
    wanted = np.where(weights[:, None] > 0, (golden["a54_b54_box_target"] - to_middle) * sign, 0)
    said = golden["pred_wh"] + np.array([1, 1, -1, -1])[:, None, None] * stride / 2
    for maps in (wanted, said):
        maps[:, 2:] += 1
    maps = fed(said, learns=True)
    targets = {"ltrb": fed(wanted), "weights": fed(weights), "total_weight": fed(weights.sum())}
    loss = 5 * box_loss("ltrb", {"ltrb": maps}, targets, kind="giou", relative=False, layout="nchw")
    assert_same(loss, maps, scalars["ttf_wh_giou_loss_x5"])


def test_weighted_overlaps_are_those_of_ttfnet(golden: Mapping[str, Array], scalars: Any) -> None:
    one_pixel_wider = np.array([0, 0, 1, 1], np.float32)  # than their corners are apart
    boxes, targets = (fed((golden[name] + one_pixel_wider).T[None], learns=True) for name in ("giou_pred", "giou_target"))
    weights = golden["giou_weight"]
    loss = F.sum(fed(weights[None, None]) * overlap_loss(boxes, targets, kind="giou")) / (weights.sum() + 1e-4)
    assert_same(loss, boxes, scalars["ttf_giou_boxes"])
