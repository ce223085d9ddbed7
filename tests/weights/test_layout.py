from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.errors import WeightsError
from centernet.weights.layout import (
    affine_to_convolution,
    convert,
    detect_layout,
    drop_input_channel,
    input_channels,
    pad_input_channels,
    shapes_of,
    to_nchw,
    to_nhwc,
)
from centernet.weights.store import Array


def network(seed: int = 0, *, channels: int = 8, classes: int = 2) -> dict[str, Array]:
    """The kinds of parameters a network has, NCHW: kernels, a depthwise transposed kernel, batch norm, biases."""
    rng = np.random.default_rng(seed)
    shapes = {
        "conv1/conv/W": (channels, 3, 7, 7),
        "conv1/bn/beta": (1, channels, 1, 1),
        "conv1/bn/var": (1, channels, 1, 1),
        "up/deconv/W": (channels, 1, 4, 4),
        "hm_final/conv/W": (classes, channels, 1, 1),
        "hm_final/conv/b": (classes,),
    }
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def assert_equal(a: dict[str, Array], b: dict[str, Array]) -> None:
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name], b[name])


def test_shapes_in_nhwc_are_the_published_ones() -> None:
    assert shapes_of(to_nhwc(network())) == {
        "conv1/conv/W": (8, 7, 7, 3),
        "conv1/bn/beta": (1, 1, 1, 8),
        "conv1/bn/var": (1, 1, 1, 8),
        "up/deconv/W": (8, 4, 4, 1),
        "hm_final/conv/W": (2, 1, 1, 8),
        "hm_final/conv/b": (2,),
    }


def test_a_value_keeps_its_place_in_the_kernel() -> None:
    kernel = network()["conv1/conv/W"]
    turned = to_nhwc(network())["conv1/conv/W"]
    assert turned[5, 2, 6, 1] == kernel[5, 1, 2, 6]


@given(seed=st.integers(0, 2**31), channels=st.integers(2, 20), classes=st.integers(1, 90))
def test_to_the_other_layout_and_back_is_exact(seed: int, channels: int, classes: int) -> None:
    parameters = network(seed, channels=channels, classes=classes)
    assert_equal(to_nchw(to_nhwc(parameters)), parameters)
    there = convert(parameters, layout="nhwc", channels=4)
    assert input_channels(shapes_of(there)) == 4
    assert_equal(convert(there, layout="nchw", channels=3), parameters)


def test_inputs_are_not_modified() -> None:
    parameters = network()
    convert(parameters, layout="nhwc", channels=4)
    assert_equal(parameters, network())


def test_the_layout_is_read_off_the_shapes() -> None:
    parameters = network()
    assert detect_layout(shapes_of(parameters)) == "nchw"
    assert detect_layout(shapes_of(to_nhwc(parameters))) == "nhwc"
    kernel = {"conv/W": (8, 5, 3, 3)}
    assert detect_layout(kernel) == "nchw"
    assert detect_layout({"conv/W": (8, 3, 3, 5)}) == "nhwc"
    assert detect_layout({"conv/W": (8, 3, 3, 3), "b": (8,)}) is None
    assert detect_layout({"a/bn/beta": (1, 1, 1, 1)}) is None
    assert detect_layout({}) is None


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_the_fourth_channel_is_zero_and_goes_again(layout: str) -> None:
    parameters = convert(network(), layout=layout)
    padded = pad_input_channels(parameters, layout)
    axis = 1 if layout == "nchw" else 3
    kernel = padded["conv1/conv/W"]
    assert kernel.shape[axis] == 4
    assert not kernel.take(3, axis).any()
    assert_equal(drop_input_channel(padded, layout), parameters)
    assert_equal(pad_input_channels(padded, layout), padded)
    assert_equal(drop_input_channel(parameters, layout), parameters)


def test_without_a_request_nothing_changes() -> None:
    assert_equal(convert(network()), network())
    nhwc = to_nhwc(network())
    assert_equal(convert(nhwc), nhwc)
    assert_equal(convert(nhwc, layout="nhwc"), nhwc)


def test_an_affine_classifier_becomes_the_convolution_it_equals() -> None:
    weight = np.arange(6, dtype=np.float32).reshape(3, 2)
    parameters = {"conv1/bn/var": np.ones((1, 3, 1, 1)), "fc/affine/W": weight, "fc/affine/b": np.ones(2), "last": np.ones(1)}
    turned = affine_to_convolution(parameters, "nchw")
    assert list(turned) == ["conv1/bn/var", "fc/fc/conv/W", "fc/fc/conv/b", "last"]
    assert turned["fc/fc/conv/W"].shape == (2, 3, 1, 1)
    x = np.array([1.0, 10.0, 100.0], np.float32)
    np.testing.assert_array_equal(turned["fc/fc/conv/W"][:, :, 0, 0] @ x, x @ weight)
    assert affine_to_convolution(parameters, "nhwc")["fc/fc/conv/W"].shape == (2, 1, 1, 3)


def test_what_cannot_be_converted_says_why() -> None:
    with pytest.raises(WeightsError, match="NCHW or NHWC"):
        convert({"w": np.ones(3)}, layout="nhwc")
    with pytest.raises(WeightsError, match="one affine layer"):
        affine_to_convolution(network(), "nchw")
    with pytest.raises(WeightsError, match=r"conv1/conv/W.*not there"):
        pad_input_channels({"w": np.ones(3)}, "nchw")
    with pytest.raises(WeightsError, match=r"found shape \(8, 7, 7, 3\)"):
        drop_input_channel(to_nhwc(network()), "nchw")


def test_the_first_convolution_of_an_unknown_network_is_the_only_one_that_can_be_it() -> None:
    parameters = {"stem/conv/W": np.ones((8, 3, 3, 3), np.float32), "level1/conv/W": np.ones((8, 8, 3, 3), np.float32)}
    padded = convert(parameters, channels=4)
    assert padded["stem/conv/W"].shape == (8, 4, 3, 3)
    assert convert(padded, channels=3)["stem/conv/W"].shape == (8, 3, 3, 3)
    parameters["other/conv/W"] = np.ones((8, 4, 3, 3), np.float32)
    with pytest.raises(WeightsError, match="is not there, and 2 have 3 or 4 input channels: stem/conv/W, other/conv/W"):
        convert(parameters, channels=4)
