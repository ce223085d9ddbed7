"""Corner pooling against NumPy's accumulated maxima and a naive loop, forwards, backwards and in every runtime."""

from __future__ import annotations

from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet.export.nnp import save_nnp
from centernet.export.onnx import to_onnx
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.session import NnpSession, OnnxRuntimeSession
from centernet.models.corner_pool import cross_maximum, swept_maximum
from centernet.models.ops import Ops

DIRECTIONS = ("up", "down", "left", "right")
SIZES = [(1, 1), (1, 2), (2, 3), (5, 7), (8, 8), (16, 9), (127, 3), (3, 128), (128, 127)]


def naive(x: np.ndarray, direction: str) -> tuple[np.ndarray, np.ndarray]:
    """What a sweep over (B, C, H, W) gives, and for each cell where on the axis it is from; of equal ones the first that is met."""
    axis = 2 if direction in ("up", "down") else 3
    lines = np.moveaxis(x, axis, 0)
    order = range(len(lines)) if direction in ("down", "right") else range(len(lines) - 1, -1, -1)
    values, places = np.empty_like(lines), np.empty(lines.shape, int)
    best, at = None, None
    for index in order:
        if best is None:
            best, at = lines[index].copy(), np.full(lines[index].shape, index)
        is_better = lines[index] > best
        best, at = np.where(is_better, lines[index], best), np.where(is_better, index, at)
        values[index], places[index] = best, at
    return np.moveaxis(values, 0, axis), np.moveaxis(places, 0, axis)


def naive_gradient(x: np.ndarray, gradient: np.ndarray, direction: str) -> np.ndarray:
    axis = 2 if direction in ("up", "down") else 3
    places, result = naive(x, direction)[1], np.zeros_like(gradient)
    for index in np.ndindex(*x.shape):
        target = list(index)
        target[axis] = places[index]
        result[tuple(target)] += gradient[index]
    return result


def swept(x: np.ndarray, direction: Any, layout: Any = "nchw", gradient: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Values and gradient, both in NCHW."""
    there, back = ((0, 2, 3, 1), (0, 3, 1, 2)) if layout == "nhwc" else ((0, 1, 2, 3),) * 2
    variable = nn.Variable.from_numpy_array(x.transpose(there)).apply(need_grad=True)
    variable.g = 0
    y = F.identity(swept_maximum(variable, Ops(layout=layout), direction))
    y.forward()
    y.backward(1 if gradient is None else gradient.transpose(there))
    return y.d.transpose(back), variable.g.transpose(back)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("size", SIZES)
def test_a_sweep_gives_exactly_the_accumulated_maxima(size: tuple[int, int], direction: str, layout: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32)
    values, _ = swept(x, direction, layout)
    np.testing.assert_array_equal(values, naive(x, direction)[0])
    axis = 2 if direction in ("up", "down") else 3
    order = slice(None, None, 1 if direction in ("down", "right") else -1)
    turned = np.moveaxis(np.maximum.accumulate(np.moveaxis(x, axis, 0)[order])[order], 0, axis)
    np.testing.assert_array_equal(values, turned)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_cells_gradient_goes_to_where_its_value_is_from(direction: str, layout: str) -> None:
    rng = np.random.default_rng(1)
    x, gradient = (rng.normal(size=(2, 2, 7, 6)).astype(np.float32) for _ in range(2))
    np.testing.assert_allclose(swept(x, direction, layout, gradient)[1], naive_gradient(x, gradient, direction), atol=1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_of_equal_cells_the_one_that_is_met_first_has_the_gradient(direction: str) -> None:
    """As in the published extension; after a ReLU equal cells are many."""
    rng = np.random.default_rng(2)
    x = rng.integers(0, 3, (1, 3, 9, 10)).astype(np.float32)
    gradient = rng.normal(size=x.shape).astype(np.float32)
    np.testing.assert_allclose(swept(x, direction, "nchw", gradient)[1], naive_gradient(x, gradient, direction), atol=1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_gradient_is_the_numerical_one(direction: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.permutation(60).reshape(1, 2, 5, 6).astype(np.float32)  # whole steps apart: no step below changes an order
    gradient = rng.normal(size=x.shape).astype(np.float32)
    numerical = np.empty_like(x)
    for index in np.ndindex(*x.shape):
        above, below = x.copy(), x.copy()
        above[index] += 0.25
        below[index] -= 0.25
        numerical[index] = np.sum((naive(above, direction)[0] - naive(below, direction)[0]) * gradient) / 0.5
    np.testing.assert_allclose(swept(x, direction, "nchw", gradient)[1], numerical, atol=1e-4)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_centre_pooling_adds_the_maxima_of_row_and_column(layout: Any) -> None:
    rng = np.random.default_rng(4)
    rows, columns = (rng.normal(size=(2, 3, 5, 7)).astype(np.float32) for _ in range(2))
    there, back = ((0, 2, 3, 1), (0, 3, 1, 2)) if layout == "nhwc" else ((0, 1, 2, 3),) * 2
    inputs = [nn.Variable.from_numpy_array(values.transpose(there)).apply(need_grad=True) for values in (rows, columns)]
    for variable in inputs:
        variable.g = 0
    y = cross_maximum(*inputs, Ops(layout=layout))
    y.forward()
    y.backward(1)
    np.testing.assert_array_equal(y.d.transpose(back), rows.max(axis=3, keepdims=True) + columns.max(axis=2, keepdims=True))
    for values, variable, axis in zip((rows, columns), inputs, (3, 2), strict=True):
        largest = values == values.max(axis=axis, keepdims=True)
        np.testing.assert_allclose(variable.g.transpose(back), largest * values.shape[axis], atol=1e-5)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_every_runtime_pools_alike_and_leaves_the_batch_open(layout: Any, tmp_path: Any) -> None:
    ops, shape = Ops(layout=layout), (3, 9, 14) if layout == "nchw" else (9, 14, 3)

    def build(x: nn.Variable) -> dict[str, nn.Variable]:
        up, down, left, right = (swept_maximum(x, ops, direction) for direction in ("up", "down", "left", "right"))
        return {"up": up, "down": down, "left": left, "right": right, "cross": cross_maximum(x, F.sigmoid(x), ops)}

    image = np.random.default_rng(5).normal(size=(2, *shape)).astype(np.float32)
    source = nn.Variable.from_numpy_array(image)
    expected = build(source)
    nn.forward_all(list(expected.values()))
    x = nn.Variable((1, *shape))
    model = to_onnx(build(x), {"image": x}, dynamic_batch=True).SerializeToString()
    save_nnp(tmp_path / "pools.nnp", build(x), {"image": x})
    for session in (OnnxRuntimeSession(model), OpenVinoSession(model), NnpSession(tmp_path / "pools.nnp")):
        found = session.run(image)
        for name, variable in expected.items():
            np.testing.assert_allclose(found[name], variable.d, atol=1e-6 if name == "cross" else 0, err_msg=f"{session.summary}: {name}")
