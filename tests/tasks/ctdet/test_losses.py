from __future__ import annotations

import nnabla as nn
import numpy as np
import pytest

from centernet.structures import Array
from centernet.tasks.ctdet.losses import regression_loss


def fed(array: object, *, learns: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(array, np.float32), need_grad=learns)


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
