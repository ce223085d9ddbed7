"""Golden alg_losses: the official losses of heatmap and boxes with their options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.structures import Array
from centernet.tasks.ctdet.config import BoxLoss
from centernet.tasks.ctdet.losses import box_loss, heatmap_loss

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def golden(reference: Path) -> Mapping[str, Array]:
    return dict(np.load(reference / "torch" / "alg_losses.npz"))


def fed(array: object, *, learns: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(array, np.float32), need_grad=learns)


def assert_same(loss: nn.Variable, maps: nn.Variable, expected: list[float], *, rel: float = 1e-5) -> None:
    """Value, and norm of the gradient."""
    loss.forward()
    maps.g = 0
    loss.backward()
    assert float(loss.d) == pytest.approx(expected[0], rel=rel)
    assert np.linalg.norm(maps.g) == pytest.approx(expected[1], rel=10 * rel)


def test_focal_loss_and_squared_errors_are_the_official_ones(golden: Mapping[str, Array], scalars: Any) -> None:
    heatmap = golden["hm_gt"]
    targets = {"heatmap": fed(heatmap), "num_peaks": fed((heatmap == 1).sum()), "num_cells": fed(heatmap.size)}
    for kind, name in (("focal", "focal"), ("mse", "mse_hm")):
        logits = fed(golden["hm_logit"], learns=True)
        loss = heatmap_loss(logits, targets, kind=kind, layout="nchw")  # type: ignore[arg-type]
        assert_same(loss, logits, scalars[name], rel=1e-4)


def test_the_focal_loss_of_images_without_objects_is_the_official_one(golden: Mapping[str, Array], scalars: Any) -> None:
    logits = fed(golden["hm_logit"], learns=True)
    targets = {"heatmap": fed(np.zeros_like(golden["hm_gt"])), "num_peaks": fed(0)}
    assert_same(heatmap_loss(logits, targets, kind="focal", layout="nchw"), logits, scalars["focal_no_positive"], rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "relative", "name"), [("l1", False, "RegL1Loss"), ("l1", True, "NormRegL1Loss"), ("smooth_l1", False, "RegLoss_smoothl1")]
)
def test_losses_at_the_centres_are_the_official_ones(
    golden: Mapping[str, Array], scalars: Any, kind: BoxLoss, relative: bool, name: str
) -> None:
    maps, mask = fed(golden["reg_out"], learns=True), golden["mask"]
    targets = {"size": fed(golden["reg_target"]), "indices": fed(golden["ind"]), "mask": fed(mask), "num_objects": fed(mask.sum())}
    assert_same(box_loss("size", {"size": maps}, targets, kind=kind, relative=relative, layout="nchw"), maps, scalars[name])


def test_sizes_for_each_class_have_the_official_loss(golden: Mapping[str, Array], scalars: Any) -> None:
    maps, mask = fed(golden["wh_cat_out"], learns=True), golden["wh_cat_mask"]
    is_object, class_ids = mask.any(axis=2), mask.argmax(axis=2) // 2
    image, row = np.ogrid[: len(mask), : mask.shape[1]]
    size = np.stack([golden["wh_cat_target"][image, row, 2 * class_ids + side] for side in range(2)], axis=2)
    targets = {"size": fed(size), "indices": fed(golden["ind"]), "mask": fed(is_object), "num_objects": fed(is_object.sum())}
    targets["class_ids"] = fed(class_ids)
    assert_same(box_loss("size", {"size": maps}, targets, kind="l1", relative=False, layout="nchw"), maps, scalars["cat_spec_wh"])


def test_sizes_of_all_cells_have_the_official_loss(golden: Mapping[str, Array], scalars: Any) -> None:
    weights = golden["dense_wh_mask"]
    value, squares = 0.0, 0.0
    for side in range(2):  # in the golden, unlike in its training, every side has weights of its own
        maps, own = fed(golden["reg_out"][:, side : side + 1], learns=True), weights[:, side]
        targets = {"size": fed(golden["dense_wh_target"][:, side : side + 1]), "weights": fed(own), "total_weight": fed(own.sum())}
        loss = box_loss("size", {"size": maps}, targets, kind="l1", relative=False, layout="nchw")
        loss.forward()
        maps.g = 0
        loss.backward()
        part = (own.sum() + 1e-4) / (weights.sum() + 1e-4)
        value += part * float(loss.d)
        squares += part**2 * np.square(maps.g).sum()
    assert value == pytest.approx(scalars["dense_wh"][0], rel=1e-5)
    assert np.sqrt(squares) == pytest.approx(scalars["dense_wh"][1], rel=1e-4)
