from __future__ import annotations

from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.models.initial import bilinear, constant, normal
from centernet.models.ops import Ops


def variable(values: Any, *, need_grad: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(values, np.float32)).apply(need_grad=need_grad)


def images(shape: tuple[int, ...] = (2, 3, 6, 6), seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_convolution_is_the_sum_over_its_window() -> None:
    x = images((1, 2, 5, 5))
    y = Ops().convolution(variable(x), 1, 3, initial=constant(1), bias=0.5)
    y.forward()
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = [[padded[0, :, i : i + 3, j : j + 3].sum() + 0.5 for j in range(5)] for i in range(5)]
    np.testing.assert_allclose(y.d[0, 0], expected, rtol=1e-4, atol=1e-5)


def test_groups_of_channels_do_not_see_each_other() -> None:
    x = images((1, 6, 5, 5))
    y = Ops().convolution(variable(x), 4, 3, group=2, initial=normal(1))
    nn.forward_all([y])
    weight = nn.get_parameters()["conv/W"].d.copy()
    assert weight.shape == (4, 3, 3, 3)
    for half in (0, 1):
        alone = Ops()
        with alone.scope(f"half{half}"):
            z = alone.convolution(variable(x[:, 3 * half : 3 * half + 3]), 2, 3, initial=constant(0))
        nn.get_parameters()[f"half{half}/conv/W"].d = weight[2 * half : 2 * half + 2]
        z.forward()
        np.testing.assert_allclose(y.d[:, 2 * half : 2 * half + 2], z.d, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_depthwise_bilinear_deconvolution_enlarges_a_constant(factor: int) -> None:
    x = np.stack([np.full((4, 4), 2.0), np.full((4, 4), -3.0)])[None]
    y = Ops().deconvolution(variable(x), 2, initial=bilinear, depthwise=True, factor=factor)
    y.forward()
    side, border = 4 * factor, factor // 2
    assert y.shape == (1, 2, side, side)
    inside = y.d[0, :, border:-border, border:-border]
    np.testing.assert_allclose(inside, np.broadcast_to(np.reshape([2.0, -3.0], (2, 1, 1)), inside.shape), rtol=1e-6)


def test_enlarging_repeats_every_cell() -> None:
    x = images((2, 3, 4, 5))
    y = Ops().enlarge(variable(x))
    y.forward()
    np.testing.assert_array_equal(y.d, x.repeat(2, 2).repeat(2, 3))


def test_relu6_ends_at_6_and_passes_gradients_between() -> None:
    x = variable([-1.0, 2.0, 5.0, 9.0], need_grad=True)
    x.g = 0
    y = Ops().relu6(x)
    y.forward()
    y.backward(1.0)
    np.testing.assert_array_equal(y.d, [0, 2, 5, 6])
    np.testing.assert_array_equal(x.g, [0, 1, 1, 0])


def test_batch_norm_takes_another_epsilon_and_decay() -> None:
    x = images()
    nn.forward_all([Ops(training=True).batch_norm(variable(x), decay=0.99), y := Ops().batch_norm(variable(x), epsilon=0.5)])
    running = nn.get_parameters(grad_only=False)
    np.testing.assert_allclose(running["bn/mean"].d.ravel(), 0.01 * x.mean((0, 2, 3)), rtol=1e-3, atol=1e-6)
    running["bn/mean"].d, running["bn/var"].d = 0, 1
    y.forward()
    np.testing.assert_allclose(y.d, x / np.sqrt(1.5), rtol=1e-5)


def test_training_uses_the_batch_and_updates_the_running_statistics_with_the_unbiased_variance() -> None:
    x = images()
    y = Ops(training=True).batch_norm(variable(x))
    y.forward()
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    expected = (x - mean[:, None, None]) / np.sqrt(variance[:, None, None] + 1e-5)
    np.testing.assert_allclose(y.d, expected, rtol=1e-4, atol=1e-5)
    running = nn.get_parameters(grad_only=False)
    count = x.size / 3
    np.testing.assert_allclose(running["bn/mean"].d.ravel(), 0.1 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(running["bn/var"].d.ravel(), 0.9 + 0.1 * variance * count / (count - 1), rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_frozen_statistics_are_used_and_stay_and_gradients_pass(training: bool) -> None:
    x = variable(images(), need_grad=True)
    y = Ops(training=training, batch_stat=False).batch_norm(x)
    found = nn.get_parameters(grad_only=False)
    for name, value in (("beta", 0.5), ("gamma", 3.0), ("mean", -1.0), ("var", 4.0)):
        found[f"bn/{name}"].d = value
        found[f"bn/{name}"].g = 0
    x.g = 0
    y.forward()
    y.backward(1.0)
    scale = 3 / np.sqrt(4 + 1e-5)
    np.testing.assert_allclose(y.d, (x.d + 1) * scale + 0.5, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(x.g, scale, rtol=1e-5)
    assert (found["bn/mean"].d == -1).all()
    assert (found["bn/var"].d == 4).all()
    if training:
        np.testing.assert_allclose(found["bn/beta"].g.ravel(), 2 * 36, rtol=1e-5)


def test_in_inference_parameters_take_no_gradient_but_stay_trainable_for_others() -> None:
    y = Ops().conv_bn(variable(images()), 4, 3, initial=normal(1))
    assert not y.need_grad
    assert list(nn.get_parameters()) == ["conv/W", "bn/beta", "bn/gamma"]
    assert Ops(training=True).conv_bn(variable(images()), 4, 3, initial=normal(1)).need_grad


def test_initial_values_depend_on_the_name_and_the_seed_only() -> None:
    def weights(order: tuple[str, ...], seed: int = 0, layout: Any = "nchw") -> dict[str, Any]:
        nn.clear_parameters()
        ops = Ops(seed=seed, layout=layout)
        for name in order:
            with ops.scope(name):
                ops.parameter("W", (2, 3, 5, 5), normal(1))
        return {name: parameter.d.copy() for name, parameter in nn.get_parameters().items()}

    first, second = weights(("a", "b/c")), weights(("b/c", "a"))
    assert list(first) == ["a/W", "b/c/W"]
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert not np.array_equal(first["a/W"], first["b/c/W"])
    assert not np.array_equal(first["a/W"], weights(("a",), seed=1)["a/W"])
    np.testing.assert_array_equal(weights(("a",), layout="nhwc")["a/W"], first["a/W"].transpose(0, 2, 3, 1))


def test_existing_values_are_kept() -> None:
    Ops().parameter("W", (2, 2), constant(1))
    nn.get_parameters()["W"].d = 7
    assert (Ops(seed=5).parameter("W", (2, 2), constant(1)).d == 7).all()


def test_without_a_seed_parameters_are_zero() -> None:
    assert not Ops(seed=None).parameter("W", (2, 2), constant(1)).d.any()


def test_channel_last_layers_have_the_same_shapes_turned() -> None:
    ops = Ops(layout="nhwc", training=True)
    x = ops.conv_bn(nn.Variable((2, 8, 8, 3)), 6, 3, stride=2, initial=normal(1))
    assert x.shape == (2, 4, 4, 6)
    assert ops.channels(x) == 6
    assert ops.max_pool(x, 2, stride=2).shape == (2, 2, 2, 6)
    assert ops.deconvolution(x, 5, initial=normal(1)).shape == (2, 8, 8, 5)
    assert ops.concatenate(x, x).shape == (2, 4, 4, 12)
    assert ops.enlarge(x).shape == (2, 8, 8, 6)
    assert nn.get_parameters()["deconv/W"].shape == (6, 4, 4, 5)
    with ops.scope("grouped"):
        assert ops.convolution(x, 4, 3, group=2, initial=normal(1)).shape == (2, 4, 4, 4)
    assert nn.get_parameters()["grouped/conv/W"].shape == (4, 3, 3, 3)


def test_a_depthwise_bilinear_deconvolution_enlarges_four_times() -> None:
    y = Ops().deconvolution(variable(np.full((1, 2, 4, 4), 2.0)), 2, initial=bilinear, depthwise=True, factor=4)
    y.forward()
    assert y.shape == (1, 2, 16, 16)
    np.testing.assert_allclose(y.d[0, :, 2:-2, 2:-2], 2.0, rtol=1e-6)
