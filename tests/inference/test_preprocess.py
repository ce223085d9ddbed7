from __future__ import annotations

import numpy as np
import pytest

from centernet.errors import DataError
from centernet.geometry.affine import transform_boxes
from centernet.inference.preprocess import InputSpec, NormalizingSession, check_extent, fit, normalized, stack, to_image
from centernet.structures import Detections, Normalization

PLAIN = Normalization(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
COLORS = Normalization(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def some_detections(boxes: np.ndarray) -> Detections:
    return Detections(boxes, np.full(len(boxes), 0.5), np.zeros(len(boxes)))


@pytest.mark.parametrize("scale", [1.0, 0.5, 1.5])
@pytest.mark.parametrize("keep_resolution", [True, False])
def test_boxes_come_back_to_the_pixels_they_left(scale, keep_resolution) -> None:
    fitted = fit(picture(), InputSpec(size=(64, 96), normalization=PLAIN, keep_resolution=keep_resolution), scale=scale)
    boxes = np.array([[3.0, 5.0, 20.0, 31.0], [-4.0, 0.0, 70.0, 40.0]])
    there = some_detections(transform_boxes(boxes * scale, fitted.matrix))
    np.testing.assert_allclose(to_image(there, fitted).boxes, boxes, atol=1e-4)


def test_no_boxes_come_back_as_none() -> None:
    fitted = fit(picture(), InputSpec(size=(64, 96), normalization=PLAIN))
    assert to_image(some_detections(np.zeros((0, 4))), fitted).boxes.shape == (0, 4)


def test_the_whole_image_is_in_the_input() -> None:
    fitted = fit(picture(), InputSpec(size=(96, 96), normalization=PLAIN))
    corners = transform_boxes(np.array([[0.0, 0.0, 60.0, 40.0]]), fitted.matrix)
    np.testing.assert_allclose(corners, [[0, 16, 96, 80]])
    assert fitted.size == (96, 96)


def test_keeping_the_resolution_pads_every_image_to_its_own_size() -> None:
    image = picture()
    fitted = fit(image, InputSpec(size=(96, 96), normalization=PLAIN, keep_resolution=True))
    assert fitted.size == (64, 64)
    np.testing.assert_array_equal(fitted.warped[12:52, 2:62], image)


def test_images_are_padded_to_a_pixel_less_where_the_configured_size_is() -> None:
    image, spec = picture(), InputSpec(size=(511, 512), normalization=PLAIN, keep_resolution=True, multiple=128)
    fitted = fit(image, spec)
    assert fitted.size == (127, 128)
    np.testing.assert_array_equal(fitted.warped[43:83, 34:94], image)
    assert fit(image, spec, scale=3.2).size == (255, 256)


@pytest.mark.parametrize(("layout", "channels"), [("nchw", 3), ("nchw", 4), ("nhwc", 3), ("nhwc", 4)])
def test_a_batch_has_the_networks_layout_and_channels(layout, channels) -> None:
    spec = InputSpec(size=(32, 64), normalization=COLORS, layout=layout, channels=channels)
    fitted = [fit(picture(), spec), fit(picture(32, 64), spec)]
    batch = normalized(stack(fitted), spec)
    assert batch.dtype == np.float32
    batch_NHWC = batch.transpose(0, 2, 3, 1) if layout == "nchw" else batch
    assert batch_NHWC.shape == (2, 32, 64, channels)
    for found, image in zip(batch_NHWC, fitted, strict=True):
        expected = (image.warped / 255 - np.array(COLORS.mean)) / np.array(COLORS.std)
        np.testing.assert_allclose(found[..., :3], expected, atol=1e-5)
        assert not found[..., 3:].any()


def test_a_batch_is_the_pixels_and_a_single_image_is_not_copied() -> None:
    spec = InputSpec(size=(32, 64), normalization=COLORS)
    fitted = [fit(picture(), spec), fit(picture(32, 64), spec)]
    batch = stack(fitted)
    assert (batch.shape, batch.dtype) == ((2, 32, 64, 3), np.uint8)
    for found, image in zip(batch, fitted, strict=True):
        np.testing.assert_array_equal(found, image.warped)
    assert np.shares_memory(stack(fitted[:1]), fitted[0].warped)


def test_a_model_that_wants_its_input_normalised_is_given_pixels() -> None:
    class Echo:
        summary = "an echo"
        parallel_runs = 1

        def run(self, image: np.ndarray) -> dict[str, np.ndarray]:
            return {"seen": image}

    spec = InputSpec(size=(32, 64), normalization=COLORS, channels=4)
    pixels = stack([fit(picture(), spec)])
    session = NormalizingSession(Echo(), spec)
    np.testing.assert_array_equal(session.run(pixels)["seen"], normalized(pixels, spec))
    assert session.summary == "an echo"


@pytest.mark.parametrize(
    ("image_hw", "keep", "scale", "memory", "said"),
    [
        (
            (128, 256),
            False,
            300,
            None,
            r"an image of 256x128 pixels becomes 76800x38400 at test scale 300, which takes 8,847,360,000 bytes; "
            r"expected at most 32766 pixels a side; use smaller --test_scales$",
        ),
        (
            (1000, 1000),
            False,
            10,
            299_999_999,
            r"takes 300,000,000 bytes; expected no more memory than the 299,999,999 bytes that are free; use smaller --test_scales$",
        ),
        ((40000, 10), True, 1, None, r"an image of 10x40000 pixels, which .* 32766 pixels a side; use --fix_res in place of --keep_res$"),
    ],
)
def test_what_is_too_large_is_said_with_the_bound_and_the_memory(image_hw, keep, scale, memory, said) -> None:
    spec = InputSpec(size=(64, 96), normalization=PLAIN, keep_resolution=keep)
    with pytest.raises(DataError, match=said):
        check_extent(image_hw, spec, scale=scale, memory=memory)


@pytest.mark.parametrize(("image_hw", "keep", "scale"), [((1000, 1000), False, 10), ((40000, 30000), False, 1), ((600, 800), True, 1.5)])
def test_what_fits_is_taken(image_hw, keep, scale) -> None:
    check_extent(image_hw, InputSpec(size=(64, 96), normalization=PLAIN, keep_resolution=keep), scale=scale, memory=300_000_000)


def test_an_image_wider_than_opencv_warps_is_fitted_all_the_same() -> None:
    wide = np.zeros((8, 40000, 3), np.uint8)
    wide[:, 20000:] = 200
    row = fit(wide, InputSpec(size=(64, 64), normalization=PLAIN)).warped[32, :, 0]
    assert row[:31].max() == 0
    assert row[33:63].min() > 0
