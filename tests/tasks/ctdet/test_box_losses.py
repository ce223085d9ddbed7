"""Losses of boxes beyond the L1 of the published models: values, gradients, and what they do at their limits."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import nnabla as nn
import numpy as np
import pytest

from centernet.structures import Array
from centernet.tasks.ctdet.config import BoxLoss, HeatmapLoss, OverlapLoss
from centernet.tasks.ctdet.losses import box_loss, heatmap_loss
from centernet.tasks.ctdet.overlap.losses import overlap_loss

sys.path.insert(0, str(Path(__file__).parent))
from twin import distance


def fed(array: object, *, learns: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(array, np.float32), need_grad=learns)


def value_and_slope(build: Callable[[nn.Variable], nn.Variable], at: Array) -> tuple[float, Array]:
    x = fed(at, learns=True)
    loss = build(x)
    x.g = 0
    loss.forward()
    loss.backward()
    return float(loss.d.sum()), x.g.copy()


def numerical_slope(function: Callable[[Array], float], at: Array, step: float = 1e-5) -> Array:
    slope = np.zeros(at.shape)
    for place in np.ndindex(*at.shape):
        ends = []
        for sign in (1, -1):
            moved = at.astype(np.float64)
            moved[place] += sign * step
            ends.append(function(moved))
        slope[place] = (ends[0] - ends[1]) / (2 * step)
    return slope


OVERLAPS = [[1.0, 1, 5, 6], [0, 0, 1.9, 2], [3, 0, 9, 4], [2.2, 2.1, 3.9, 4.3], [1, 2, 4.5, 5.25], [7, 7, 8, 9]]
TRUE = [2.0, 1.5, 4.25, 5.0]


@pytest.mark.parametrize("kind", get_args(OverlapLoss))
def test_overlaps_and_their_gradients_equal_the_formula(kind: OverlapLoss) -> None:
    for box in OVERLAPS:
        weights: list[float] = []

        def weight(iou: float, aspect: float, weights: list[float] = weights) -> float:
            """In CIoU a constant: that of the first call."""
            weights.append(aspect / (1 - iou + aspect))
            return weights[0]

        expected = distance(box, TRUE, kind, weight)
        found, slope = value_and_slope(lambda x: overlap_loss(x, fed(np.reshape(TRUE, (1, 4, 1))), kind=kind), np.reshape(box, (1, 4, 1)))
        assert found == pytest.approx(expected, abs=1e-6)
        wanted = numerical_slope(lambda moved: distance(moved.tolist(), TRUE, kind, weight), np.asarray(box))
        np.testing.assert_allclose(slope.ravel(), wanted, atol=2e-5)


@pytest.mark.parametrize("kind", get_args(OverlapLoss))
def test_equal_boxes_lose_nothing_and_others_something(kind: OverlapLoss) -> None:
    boxes = np.asarray([TRUE, [0.1, 0.2, 90.3, 0.7], [-3, -2, -1, -1.5]]).T[None]
    same = overlap_loss(fed(boxes), fed(boxes), kind=kind)
    moved = overlap_loss(fed(boxes + 0.25), fed(boxes), kind=kind)
    nn.forward_all([same, moved])
    assert same.shape == (1, 1, 3)
    np.testing.assert_allclose(same.d, 0, atol=1e-6)
    assert (moved.d > 0.01).all()


@pytest.mark.parametrize("kind", get_args(OverlapLoss))
@pytest.mark.parametrize("magnitude", [0, 1e-6, -3, 1e4, -1e4])
def test_boxes_without_area_or_far_too_large_have_finite_losses_and_gradients(kind: OverlapLoss, magnitude: float) -> None:
    box = np.reshape([-magnitude, -magnitude, magnitude, magnitude], (1, 4, 1))
    for true in (TRUE, [0, 0, 0, 0]):
        found, slope = value_and_slope(lambda x, true=true: overlap_loss(x, fed(np.reshape(true, (1, 4, 1))), kind=kind), box)  # type: ignore[misc]
        assert np.isfinite(found)
        assert np.isfinite(slope).all()


def test_at_their_first_values_boxes_have_a_slope() -> None:
    """Two of no area would have none."""
    _, slope = value_and_slope(
        lambda x: overlap_loss(x, fed(np.reshape(TRUE, (1, 4, 1))), kind="giou"), np.reshape([0, 0, 8, 8], (1, 4, 1))
    )
    assert slope.any()


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


@pytest.mark.parametrize("kind", get_args(HeatmapLoss))
def test_gradients_of_the_heatmap_equal_numerical_ones(kind: HeatmapLoss) -> None:
    rng = np.random.default_rng(0)
    heatmap = rng.uniform(0, 1, (1, 2, 3, 4))
    heatmap[0, 0, 1, 1] = 1
    logits = rng.normal(size=heatmap.shape) * 2
    targets = {"heatmap": fed(heatmap), "num_peaks": fed(1), "num_cells": fed(heatmap.size)}

    def slow(z: Array) -> float:
        p, y = sigmoid(z), heatmap.astype(np.float32).astype(float)
        entropy = -y * np.log(p) - (1 - y) * np.log(1 - p)
        focal = np.where(y == 1, -((1 - p) ** 2) * np.log(p), -((1 - y) ** 4) * p**2 * np.log(1 - p)).sum()
        return float({"focal": focal, "quality_focal": ((y - p) ** 2 * entropy).sum(), "mse": ((y - p) ** 2).mean()}[kind])

    found, slope = value_and_slope(lambda x: heatmap_loss(x, targets, kind=kind, layout="nchw"), logits)
    assert found == pytest.approx(slow(logits.astype(np.float32).astype(float)), rel=1e-5)
    np.testing.assert_allclose(slope, numerical_slope(slow, logits), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", get_args(BoxLoss))
@pytest.mark.parametrize("form", ["size", "ltrb"])
def test_errors_as_parts_of_the_size_and_all_kinds_have_right_gradients(kind: BoxLoss, form: str) -> None:
    rng = np.random.default_rng(1)
    channels = 2 if form == "size" else 4
    target, maps = rng.uniform(1, 4, (1, 2, channels)), rng.uniform(2, 5, (1, channels, 2, 3))
    fixed = {"indices": fed([[1, 4]]), "mask": fed([[1, 1]]), "num_objects": fed(2), "offset": fed(np.full((1, 2, 2), 0.5))}
    relative = form == "size" and kind in ("l1", "smooth_l1")

    def build(x: nn.Variable) -> nn.Variable:
        outputs = {form: x, "offset": fed(np.full((1, 2, 2, 3), 0.25))}
        return box_loss(form, outputs, {**fixed, form: fed(target)}, kind=kind, relative=relative, layout="nchw")

    if kind == "ciou":
        pytest.skip("the weight of the aspect ratio is held fixed, see the overlaps")

    def value(moved: Array) -> float:
        loss = build(fed(moved))
        loss.forward()
        return float(loss.d)

    _, slope = value_and_slope(build, maps)
    np.testing.assert_allclose(slope, numerical_slope(value, maps, step=2e-3), atol=2e-3)
    assert slope[..., 0, 1].all()
    assert not slope[..., 0, 0].any()


def test_a_relative_error_does_not_depend_on_the_scale() -> None:
    def loss(scale: float) -> float:
        maps = {"size": fed(np.full((1, 2, 1, 1), 3.0 * scale))}
        targets = {"size": fed(np.full((1, 1, 2), 4.0 * scale)), "indices": fed([[0]]), "mask": fed([[1]]), "num_objects": fed(1)}
        found = box_loss("size", maps, targets, kind="l1", relative=True, layout="nchw")
        found.forward()
        return float(found.d)

    assert loss(1) == pytest.approx(0.25, rel=1e-3)
    assert loss(10) == pytest.approx(loss(1), rel=1e-3)
