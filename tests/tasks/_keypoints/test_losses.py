"""Losses of heatmaps, and what heads say in some cells."""

from __future__ import annotations

import math
from typing import get_args

import nnabla as nn
import numpy as np
import pytest

from centernet.models.specs import Layout
from centernet.tasks._keypoints.losses import at_cells, focal_loss, smooth_l1


def fed(array: object, *, learns: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(array, np.float32), need_grad=learns)


def value(loss: nn.Variable) -> float:
    loss.forward()
    return float(loss.d)


def focal(logits: object, heatmap: object, num_peaks: float) -> float:
    return value(focal_loss(fed(np.reshape(logits, (1, 1, 1, -1))), fed(np.reshape(heatmap, (1, 1, 1, -1))), fed(num_peaks), layout="nchw"))


def test_the_focal_loss_by_hand() -> None:
    # at logit 0 either answer has probability 1/2
    assert focal([0.0], [1.0], 1) == pytest.approx(0.25 * math.log(2))
    assert focal([0.0], [0.0], 1) == pytest.approx(0.25 * math.log(2))
    assert focal([0.0], [0.5], 1) == pytest.approx(0.5**4 * 0.25 * math.log(2))


def test_the_focal_loss_is_divided_by_the_peaks_it_is_told() -> None:
    assert focal([0.0, 1.0], [1.0, 0.3], 5) == pytest.approx(focal([0.0, 1.0], [1.0, 0.3], 1) / 5)
    assert focal([0.0], [0.0], 0) == focal([0.0], [0.0], 1)


def test_the_focal_loss_grows_linearly_with_a_wrong_logit() -> None:
    assert focal([-5e3], [1.0], 1) == pytest.approx(5e3)
    assert focal([5e3], [0.0], 1) == pytest.approx(5e3)


def test_a_value_just_below_one_is_no_peak() -> None:
    below = np.nextafter(np.float32(1), np.float32(0))
    assert focal([-5.0], [below], 1) < 1e-20


def test_targets_get_no_gradient() -> None:
    heatmap, logits = fed(np.full((1, 1, 2, 2), 0.5), learns=True), fed(np.zeros((1, 1, 2, 2)), learns=True)
    heatmap.need_grad = False
    loss = focal_loss(logits, heatmap, fed(1), layout="nchw")
    heatmap.g, logits.g = 0, 0
    loss.forward()
    loss.backward()
    assert logits.g.all()
    assert not heatmap.g.any()


@pytest.mark.parametrize("layout", get_args(Layout))
def test_what_is_said_in_cells_does_not_depend_on_the_layout(layout: Layout) -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    indices = np.array([[0, 19, 7, 7], [5, 4, 12, 1]])
    given = maps if layout == "nchw" else maps.transpose(0, 2, 3, 1)
    found = at_cells(fed(given), nn.Variable.from_numpy_array(indices), layout=layout)
    assert found.shape == (2, 3, 4)
    found.forward()
    for image, row in np.ndindex(*indices.shape):
        np.testing.assert_array_equal(found.d[image, :, row], maps[image, :, indices[image, row] // 5, indices[image, row] % 5])


def test_the_smooth_l1_loss_by_hand() -> None:
    errors = smooth_l1(fed([0.0, 0.0, 0.0, 3.0]), fed([0.0, 0.5, 1.0, -1.0]))
    errors.forward()
    np.testing.assert_allclose(errors.d, [0, 0.125, 0.5, 3.5])
