from __future__ import annotations

import math

import nnabla as nn
import numpy as np
import pytest

from centernet.structures import Array
from centernet.tasks.ctdet.losses import focal_loss, regression_loss


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


def regression(prediction: Array, target: object, indices: object, mask: object, num_objects: float) -> tuple[float, Array]:
    maps = fed(prediction, learns=True)
    loss = regression_loss(maps, fed(target), fed(indices), fed(mask), fed(num_objects), layout="nchw")
    maps.g = 0
    loss.forward()
    loss.backward()
    return float(loss.d), maps.g.copy()


def test_the_regression_loss_by_hand() -> None:
    maps = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)  # cell 4 holds (4, 10)
    loss, slope = regression(maps, [[[1, 11], [99, 99]]], [[4, 0]], [[1, 0]], 1)
    assert loss == pytest.approx((3 + 1) / 2.0001)
    expected = np.zeros((1, 2, 2, 3))
    expected[0, :, 1, 1] = 1 / 2.0001, -1 / 2.0001
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


def test_two_objects_in_one_cell_both_pull() -> None:
    maps = np.zeros((1, 2, 2, 2), np.float32)
    loss, slope = regression(maps, [[[1, 1], [3, 1]]], [[3, 3]], [[1, 1]], 2)
    assert loss == pytest.approx(6 / 4.0001)
    np.testing.assert_allclose(slope[0, :, 1, 1], [-2 / 4.0001] * 2, rtol=1e-6)


def test_without_objects_the_regression_loss_is_zero() -> None:
    loss, slope = regression(np.ones((1, 2, 2, 2), np.float32), np.zeros((1, 3, 2)), np.zeros((1, 3)), np.zeros((1, 3)), 0)
    assert loss == 0
    assert not slope.any()
