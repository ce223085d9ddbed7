from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet.models.deformable import deformable_convolution
from centernet.models.initial import normal
from centernet.models.ops import Ops

CHANNELS = 4
LAYERS = {"weight": ("conv/W", "conv/b"), "offsets and mask": ("conv_offset_mask/conv/W", "conv_offset_mask/conv/b")}


def image(seed: int = 0, channels: int = 3) -> Any:
    return np.random.default_rng(seed).standard_normal((2, channels, 6, 7)).astype(np.float32)


def layer(x: nn.Variable, ops: Ops) -> nn.Variable:
    return deformable_convolution(x, ops, CHANNELS, initial=normal(0.3))


def scatter(seed: int = 3) -> dict[str, nn.Variable]:
    """Give the layer values by which all of its parts matter; its parameters."""
    parameters = dict(nn.get_parameters(grad_only=False))
    for index, variable in enumerate(parameters.values()):
        variable.d = np.random.default_rng((seed, index)).standard_normal(variable.shape) * 0.3
    return parameters


def slow_twin(x: Any, offset: Any, mask: Any, weight: Any, bias: Any) -> Any:
    """One image, tap by tap, cell by cell; samples outside the map are zero."""
    _, height, width = x.shape
    padded = np.pad(x, ((0, 0), (1, 2), (1, 2)))  # the one neighbour outside that has a share
    y = np.zeros((len(weight), height, width))
    for row, column, tap in np.ndindex(height, width, 9):
        at_y = row + tap // 3 - 1 + offset[2 * tap, row, column]
        at_x = column + tap % 3 - 1 + offset[2 * tap + 1, row, column]
        if not (-1 < at_y < height and -1 < at_x < width):
            continue
        y0, x0 = int(np.floor(at_y)), int(np.floor(at_x))
        dy, dx = at_y - y0, at_x - x0
        corners = padded[:, y0 + 1 : y0 + 3, x0 + 1 : x0 + 3]
        sample = np.einsum("cyx,y,x->c", corners, [1 - dy, dy], [1 - dx, dx])
        y[:, row, column] += weight[:, :, tap // 3, tap % 3] @ sample * mask[tap, row, column]
    return y + bias[:, None, None]


def test_it_equals_a_slow_twin_that_looks_up_every_sample() -> None:
    x = nn.Variable.from_numpy_array(image())
    y = layer(x, Ops())
    values = {name: variable.d for name, variable in scatter().items()}
    where = F.convolution(x, *(nn.get_parameters()[name] for name in LAYERS["offsets and mask"]), pad=(1, 1))
    nn.forward_all([y, where])
    assert np.abs(where.d[:, :18]).max() > 2  # some look across the border
    for index in range(2):
        mask = 1 / (1 + np.exp(-where.d[index, 18:]))
        expected = slow_twin(x.d[index], where.d[index, :18], mask, values["conv/W"], values["conv/b"])
        np.testing.assert_allclose(y.d[index], expected, rtol=1e-4, atol=1e-5)


def test_a_new_one_is_a_plain_convolution_at_half_strength() -> None:
    x = nn.Variable.from_numpy_array(image())
    y = layer(x, Ops())
    plain = F.convolution(x, nn.get_parameters()["conv/W"], pad=(1, 1))
    nn.forward_all([y, plain])
    np.testing.assert_allclose(y.d, plain.d / 2, rtol=1e-4, atol=1e-5)
    assert list(nn.get_parameters()) == [name for names in LAYERS.values() for name in names]


def gradients_of(build: Callable[[nn.Variable], nn.Variable], x: nn.Variable) -> dict[str, Any]:
    """Of a weighted sum of the outputs with respect to everything trainable."""
    y = build(x)
    parameters = scatter()
    for variable in parameters.values():
        variable.g = 0
    y.forward()
    y.backward(np.random.default_rng(5).standard_normal(y.shape))
    return {name: variable.g.copy() for name, variable in parameters.items()}


def whole(x: nn.Variable) -> nn.Variable:
    return layer(x, Ops(training=True))


def numeric(name: str, index: tuple[int, ...], step: float = 1e-3) -> float:
    x = nn.Variable.from_numpy_array(image())
    y = layer(x, Ops())
    direction = np.random.default_rng(5).standard_normal(y.shape)
    variable = scatter()[name]
    sums = []
    for sign in (1, -1):
        values = variable.d.copy()
        values[index] += sign * step
        before, variable.d = variable.d.copy(), values
        y.forward()
        variable.d = before
        sums.append(float((y.d.astype(np.float64) * direction).sum()))
    return (sums[0] - sums[1]) / (2 * step)


@pytest.mark.parametrize(
    ("name", "index"),
    [("conv/W", (1, 2, 0, 1)), ("conv/b", (3,)), ("conv_offset_mask/conv/b", (20,)), ("conv_offset_mask/conv/W", (24, 1, 1, 2))],
)
def test_gradients_are_those_of_finite_differences_though_the_image_takes_none(name: str, index: tuple[int, ...]) -> None:
    """Not of offsets: the output has kinks where a sample crosses a cell."""
    gradients = gradients_of(whole, nn.Variable.from_numpy_array(image()))
    assert gradients[name][index] == pytest.approx(numeric(name, index), rel=0.02, abs=0.02)


@pytest.mark.parametrize("frozen", ["nothing", *LAYERS])
@pytest.mark.parametrize("x_takes_gradients", [False, True])
def test_frozen_layers_change_no_gradient_of_the_others(frozen: str, x_takes_gradients: bool) -> None:
    """NNabla's own CPU function gives silent zeros here, or crashes."""
    expected = gradients_of(whole, nn.Variable.from_numpy_array(image()).apply(need_grad=True))
    for name in LAYERS.get(frozen, ()):
        nn.get_parameters(grad_only=False)[name].need_grad = False
    found = gradients_of(whole, nn.Variable.from_numpy_array(image()).apply(need_grad=x_takes_gradients))
    for name, values in expected.items():
        if name not in LAYERS.get(frozen, ()):
            assert values.any(), name
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6)


def test_a_network_that_takes_no_gradients_hands_them_through_to_its_image() -> None:
    trained, frozen = (nn.Variable.from_numpy_array(image()).apply(need_grad=True) for _ in range(2))
    for x, ops in ((trained, Ops(training=True)), (frozen, Ops())):
        x.g = 0
        y = layer(x, ops)
        scatter()
        y.forward()
        y.backward(1.0)
    assert trained.g.any()
    np.testing.assert_allclose(frozen.g, trained.g, rtol=1e-5, atol=1e-6)


def test_the_layer_takes_images_in_channels_last_order() -> None:
    x = image()
    y = layer(nn.Variable.from_numpy_array(x), Ops())
    y.forward()
    weight = nn.get_parameters()["conv/W"].d.copy()
    nn.clear_parameters()
    turned = layer(nn.Variable((2, 6, 7, 3)), Ops(layout="nhwc"))
    assert turned.shape == (2, 6, 7, CHANNELS)
    np.testing.assert_array_equal(nn.get_parameters()["conv/W"].d, weight.transpose(0, 2, 3, 1))
