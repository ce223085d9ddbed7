"""Colours in the graph: what the host makes of the same bytes, whatever the network is computed in."""

from __future__ import annotations

from typing import get_args

import nnabla as nn
import numpy as np
import pytest
from nnabla.ext_utils import get_extension_context

from centernet.imaging import color
from centernet.models.color import network_input, normalized
from centernet.models.specs import Layout
from centernet.structures import Array, Normalization

BATCH, HEIGHT, WIDTH = 2, 6, 10
NORMALIZATION = Normalization((0.40789654, 0.44719302, 0.47026115), (0.28863828, 0.27408164, 0.27809835))


def images(seed: int = 0) -> Array:
    made = np.random.default_rng(seed).integers(0, 256, (BATCH, HEIGHT, WIDTH, 3), dtype=np.uint8)
    made[:, 0, 0], made[:, -1, -1] = 0, 255
    return made


def matrices() -> Array:
    plain = color.color_matrix(NORMALIZATION)
    varied = color.color_matrix(
        NORMALIZATION,
        adjustments=[("contrast", 1.4), ("saturation", 0.6), ("brightness", 1.3)],
        lighting=(0.05, -0.02, 0.1),
        grey_mean=0.3,
    )
    return np.stack([plain, varied])


def computed(image: Array, matrix: Array, layout: Layout, channels: int) -> Array:
    """The result, and that the bytes were fed as bytes."""
    fed, colors = nn.Variable(image.shape), nn.Variable(matrix.shape)
    result = network_input(fed, colors, layout=layout, channels=channels)
    fed.d, colors.d = image, matrix.astype(np.float32)
    assert fed.data.dtype == np.uint8
    result.forward()
    assert result.d.dtype == np.float32
    return np.array(result.d)


@pytest.mark.parametrize("type_config", ["float", "half"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("layout", get_args(Layout))
def test_the_graph_makes_of_bytes_what_the_host_makes(layout: Layout, channels: int, type_config: str) -> None:
    image, matrix = images(), matrices()
    expected = [color.network_input(one, colors, channels=channels, layout=layout) for one, colors in zip(image, matrix, strict=True)]
    with nn.context_scope(get_extension_context("cpu", type_config=type_config)):
        np.testing.assert_allclose(computed(image, matrix, layout, channels), expected, rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("type_config", ["float", "half"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("layout", get_args(Layout))
def test_a_gpu_makes_of_bytes_what_the_host_makes(layout: Layout, channels: int, type_config: str) -> None:
    image, matrix = images(), matrices()
    expected = [color.network_input(one, colors, channels=channels, layout=layout) for one, colors in zip(image, matrix, strict=True)]
    with nn.context_scope(get_extension_context("cudnn", type_config=type_config)):
        np.testing.assert_allclose(computed(image, matrix, layout, channels), expected, rtol=0, atol=1e-4)


def test_another_batch_through_the_same_graph_is_coloured_anew() -> None:
    fed, colors = nn.Variable((BATCH, HEIGHT, WIDTH, 3)), nn.Variable((BATCH, 3, 4))
    result = network_input(fed, colors, layout="nchw", channels=3)
    found = []
    for seed, matrix in ((1, matrices()), (2, matrices()[::-1])):
        fed.d, colors.d = images(seed), matrix.astype(np.float32)
        result.forward(clear_no_need_grad=True)
        found.append(result.d.copy())
        expected = [color.network_input(one, of_one) for one, of_one in zip(images(seed), matrix, strict=True)]
        np.testing.assert_allclose(found[-1], expected, rtol=0, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1


@pytest.mark.parametrize("type_config", ["float", "half"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("layout", get_args(Layout))
def test_the_graph_normalises_as_the_host_does(layout: Layout, channels: int, type_config: str) -> None:
    image = images()
    expected = [color.normalize(one, NORMALIZATION, channels=channels, layout=layout) for one in image]
    fed = nn.Variable(image.shape)
    with nn.context_scope(get_extension_context("cpu", type_config=type_config)):
        result = normalized(fed, NORMALIZATION.mean, NORMALIZATION.std, layout=layout, channels=channels)
        fed.d = image
        result.forward()
    assert fed.data.dtype == np.uint8
    np.testing.assert_allclose(result.d, expected, rtol=0, atol=1e-5)
