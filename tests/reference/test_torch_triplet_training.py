"""Goldens alg_corner_targets, alg_losses: what the keypoint triplets learn, and by how much they are off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.geometry.gaussian import gaussian_radius, gaussian_radius_fixed
from centernet.structures import Array, Grid, Sample
from centernet.tasks.triplet.losses import offset_loss, pull_and_push
from centernet.tasks.triplet.targets import POINTS, encode_triplets

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def corners(reference: Path) -> Mapping[str, Array]:
    return dict(np.load(reference / "torch" / "alg_corner_targets.npz"))


@pytest.fixture(scope="module")
def golden(reference: Path) -> Mapping[str, Array]:
    return dict(np.load(reference / "torch" / "alg_losses.npz"))


def fed(array: object, *, learns: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(array, np.float32), need_grad=learns)


def value_and_slopes(loss: nn.Variable, *maps: nn.Variable) -> list[float]:
    """The loss, and the norms of its gradients."""
    loss.forward()
    for one in maps:
        one.g = 0
    loss.backward()
    return [float(loss.d), *(float(np.linalg.norm(one.g)) for one in maps)]


@pytest.mark.parametrize(("column", "radius"), [(3, gaussian_radius_fixed), (4, gaussian_radius), (5, gaussian_radius)])
def test_the_radii_are_those_of_the_table(corners: Mapping[str, Array], column: int, radius: Callable[..., float]) -> None:
    for row in corners["radius_table_h_w_iou_fixed_cornernet_centernet"]:
        assert radius(*row[:3]) == pytest.approx(row[column], rel=1e-9)


@pytest.mark.parametrize(("root", "radius"), [("fixed", gaussian_radius_fixed), ("official", gaussian_radius)])
def test_the_targets_are_the_published_ones(corners: Mapping[str, Array], root: str, radius: Callable[..., float]) -> None:
    (height, width), (rows, columns) = corners["input_size"].tolist(), corners["output_size"].tolist()
    image = corners["image_hw"].tolist()
    square = max(image)
    border = np.array([(square - image[1]) // 2, (square - image[0]) // 2] * 2)
    boxes = (corners["boxes_xyxy"] + border) * (np.array([width, height] * 2) / square)  # in the middle of a square, resized
    sample = Sample(image=np.zeros((height, width, 3), np.uint8), boxes=boxes, class_ids=corners["labels"])
    grid = Grid(height, width, 4)
    assert grid.cells == (rows, columns)
    num_classes, num_rows = len(corners[f"{root}_tl"]), len(corners["ind_masks"])
    targets = encode_triplets(sample, grid, num_classes=num_classes, max_objects=num_rows, radius=radius, min_overlap=0.7)
    np.testing.assert_array_equal(targets["mask"], corners["ind_masks"])
    for point in POINTS:
        np.testing.assert_allclose(targets[f"{point}_heat"], corners[f"{root}_{point}"], atol=1e-6)
        np.testing.assert_allclose(targets[f"{point}_offset"], corners[f"regs_{point}"], atol=2e-5)
        np.testing.assert_array_equal(targets[f"{point}_indices"], corners[f"inds_{point}"])
        assert targets[f"num_{point}_peaks"] == (corners[f"{root}_{point}"] == 1).sum()


def test_pull_and_push_are_the_official_ones(golden: Mapping[str, Array], scalars: Any) -> None:
    mask = golden["mask"]
    tags = [fed(golden[name].transpose(0, 2, 1), learns=True) for name in ("tag0", "tag1")]
    pull, push = pull_and_push(*tags, fed(mask))
    np.testing.assert_allclose(value_and_slopes(pull, *tags), scalars["ae_pull"], rtol=1e-5)
    # Each of n objects is 1 near to itself; the official code takes n / (n + 1e-4) off for it, a number that nothing can learn from.
    count = mask.sum(axis=1, dtype=float)
    left_over = np.sum((count - count**2 / (count + 1e-4)) / (count * (count - 1) + 1e-4))
    value, *slopes = scalars["ae_push"]
    np.testing.assert_allclose(value_and_slopes(push, *tags), [value - left_over, *slopes], rtol=1e-5)


def test_the_loss_of_offsets_is_the_official_one(golden: Mapping[str, Array], scalars: Any) -> None:
    rows = golden["regr"]  # what was found in the objects' cells: here the cells are the rows themselves
    found, cells = fed(rows.transpose(0, 2, 1)[:, :, None], learns=True), np.broadcast_to(np.arange(rows.shape[1]), rows.shape[:2])
    maps, targets = {}, {"mask": fed(golden["mask"]), "num_objects": fed(golden["mask"].sum())}
    for point in POINTS:
        right = golden["regr_target"]
        maps[f"{point}_regr"] = found if point == "tl" else fed(right.transpose(0, 2, 1)[:, :, None])
        targets |= {f"{point}_indices": fed(cells), f"{point}_offset": fed(right)}
    np.testing.assert_allclose(
        value_and_slopes(offset_loss(maps, targets, layout="nchw"), found), scalars["triplet_regr_smoothl1"], rtol=1e-4
    )
