"""One matrix per image does what the separate colour steps do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.imaging.color import (
    Adjustment,
    Layout,
    apply_color,
    color_matrix,
    grey_mean,
    network_input,
    normalize,
    with_fourth_channel,
    without_fourth_channel,
)
from centernet.structures import Array, Normalization

NORMALIZATION = Normalization((0.4, 0.45, 0.47), (0.29, 0.27, 0.28))
IMAGE = np.random.default_rng(3).integers(0, 256, (13, 17, 3), np.uint8)

adjustments = st.lists(st.tuples(st.sampled_from(["brightness", "contrast", "saturation"]), st.floats(0.5, 1.5)), max_size=4)


def step_by_step(image: Array, steps: list[tuple[Adjustment, float]], lighting: list[float]) -> Array:
    """The augmentation as the predecessor does it: image after image, the grey version made once at the start."""
    x = image.astype(np.float32) / 255
    grey = cv2.cvtColor(x, cv2.COLOR_BGR2GRAY)
    for what, factor in steps:
        other = {"brightness": 0, "contrast": grey.mean(), "saturation": grey[..., None]}[what]
        x = factor * x + (1 - factor) * other
    return (x + lighting - NORMALIZATION.mean) / NORMALIZATION.std


@given(adjustments, st.lists(st.floats(-0.1, 0.1), min_size=3, max_size=3))
def test_one_matrix_equals_the_steps_in_any_order(steps: list[tuple[Adjustment, float]], lighting: list[float]) -> None:
    matrix = color_matrix(NORMALIZATION, adjustments=steps, lighting=lighting, grey_mean=grey_mean(IMAGE))
    assert matrix.shape == (3, 4)
    colored = apply_color(IMAGE, matrix)
    assert colored.dtype == np.float32
    # OpenCV drops what is off the diagonal when all of it is below 1.2e-7: up to 255 * 2 times that, 1/200 of a grey level
    np.testing.assert_allclose(colored, step_by_step(IMAGE, steps, lighting), atol=1e-4)


def test_the_grey_mean_is_that_of_the_grey_image() -> None:
    grey = cv2.cvtColor(IMAGE.astype(np.float32) / 255, cv2.COLOR_BGR2GRAY)
    assert grey_mean(IMAGE) == pytest.approx(grey.mean(), abs=1e-6)
    assert grey_mean(np.full((4, 4, 3), 255, np.uint8)) == pytest.approx(1)


def test_normalising_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    expected = (IMAGE / 255 - NORMALIZATION.mean) / NORMALIZATION.std
    np.testing.assert_allclose(normalize(IMAGE, NORMALIZATION), expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize(("layout", "channels", "shape"), [
    ("nchw", 3, (3, 13, 17)), ("nchw", 4, (4, 13, 17)), ("nhwc", 3, (13, 17, 3)), ("nhwc", 4, (13, 17, 4)),
])  # fmt: skip
def test_layouts_hold_the_same_numbers_and_a_fourth_channel_is_zero(layout, channels: int, shape: tuple[int, ...]) -> None:  # type: ignore[no-untyped-def]
    batch = np.full((2, *shape), np.nan, np.float32)
    x = normalize(IMAGE, NORMALIZATION, channels=channels, layout=layout, out=batch[1])
    assert x.shape == shape
    assert np.shares_memory(x, batch)
    assert np.isnan(batch[0]).all()
    x_HWC = x.transpose(1, 2, 0) if layout == "nchw" else x
    np.testing.assert_array_equal(x_HWC[..., :3], apply_color(IMAGE, color_matrix(NORMALIZATION)))
    assert not x_HWC[..., 3:].any()
    np.testing.assert_array_equal(x, normalize(IMAGE, NORMALIZATION, channels=channels, layout=layout))


def test_results_do_not_share_memory_and_threads_do_not_disturb_each_other() -> None:
    images = [np.full((64, 64, 3), level, np.uint8) for level in range(0, 240, 4)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda image: network_input(image, np.eye(3, 4)), images))
    for image, x in zip(images, results, strict=True):
        assert (x == image[0, 0, 0]).all()


@pytest.mark.parametrize(("image", "out"), [
    (IMAGE[..., 0], None), (IMAGE.astype(np.float32), None), (IMAGE, np.empty((13, 17, 3))), (IMAGE, np.empty((17, 13, 3), np.float32)),
])  # fmt: skip
def test_arrays_of_another_shape_or_type_are_refused(image: Array, out: Array | None) -> None:
    with pytest.raises(ValueError, match="expected"):
        apply_color(image, color_matrix(NORMALIZATION), out=out)


def test_impossible_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="'hue', expected brightness"):
        color_matrix(NORMALIZATION, adjustments=[("hue", 1.1)])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="channels=2"):
        normalize(IMAGE, NORMALIZATION, channels=2)
    with pytest.raises(ValueError, match="layout='chw'"):
        normalize(IMAGE, NORMALIZATION, layout="chw")  # type: ignore[arg-type]


@pytest.mark.parametrize(("layout", "channels"), [("nchw", 3), ("nchw", 4), ("nhwc", 3), ("nhwc", 4)])
@pytest.mark.parametrize("rows", [(0, 300), (40, 250), (0, 0), (299, 300)])
def test_rows_that_are_black_need_not_be_looked_at(layout: Layout, channels: int, rows: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 640, 3), np.uint8)  # more than one block
    image[: rows[0]], image[rows[1] :] = 0, 0
    matrix = color_matrix(NORMALIZATION, adjustments=[("saturation", 0.7)], lighting=[0.01, 0.02, 0.03])
    shape = (channels, 300, 640) if layout == "nchw" else (300, 640, channels)
    x = network_input(image, matrix, channels=channels, layout=layout, rows=rows, out=np.full(shape, np.nan, np.float32))
    np.testing.assert_allclose(x, network_input(image, matrix, channels=channels, layout=layout), atol=1e-6)
    pixels = np.concatenate([image, np.ones((300, 640, 1))], axis=2) @ matrix.T
    np.testing.assert_allclose(x[:3] if layout == "nchw" else x[..., :3].transpose(2, 0, 1), pixels.transpose(2, 0, 1), atol=1e-5)


def test_a_fourth_channel_comes_and_goes_and_does_not_count() -> None:
    four = with_fourth_channel(IMAGE)
    assert four.shape == (13, 17, 4)
    assert grey_mean(four) == grey_mean(IMAGE)
    out = np.zeros_like(IMAGE)
    assert without_fourth_channel(four, out=out) is out
    np.testing.assert_array_equal(out, IMAGE)
    np.testing.assert_array_equal(without_fourth_channel(four), IMAGE)
