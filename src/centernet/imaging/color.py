"""Colour jitter, lighting noise and normalisation as ONE affine matrix per image, and applying it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from centernet.structures import Array, Normalization

Adjustment = Literal["brightness", "contrast", "saturation"]
Layout = Literal["nchw", "nhwc"]

# ITU-R BT.601 luma in BGR order, what OpenCV's grey conversion uses.
GREY_WEIGHTS = np.array([0.114, 0.587, 0.299])

# A float image of 512x512 is 3 MB: allocated anew for each image, the page faults cost 1.5 ms, four times the arithmetic.
_scratch = threading.local()


def grey_mean(image: Array) -> float:
    """The mean of the grey version of an image; contrast is changed around it.

    Args:
        image: (H, W, 3) uint8, BGR.

    Returns:
        In [0, 1].
    """
    return float(GREY_WEIGHTS @ cv2.mean(image)[:3]) / 255


def color_matrix(
    normalization: Normalization,
    *,
    adjustments: Sequence[tuple[Adjustment, float]] = (),
    lighting: Sequence[float] | Array = (0.0, 0.0, 0.0),
    grey_mean: float = 0.0,
) -> Array:
    """The colour augmentation of an image and its normalisation, folded into one affine map of a pixel.

    With x the BGR pixel in [0, 1] and g its grey value *before any adjustment*, each adjustment by a factor f is
    brightness x f, contrast x f + (1 - f) mean(g), saturation x f + (1 - f) g; nothing is clipped. All are affine in the
    original pixel once the image's grey mean is known. Lighting (Krizhevsky et al. 2012, ImageNet Classification with Deep
    Convolutional Neural Networks, section 4.1) is added last.

    Args:
        normalization: mean and std of BGR pixels in [0, 1].
        adjustments: (what, factor), in the order in which they act; factor 1 changes nothing.
        lighting: (3,), added to the BGR pixel in [0, 1] after the adjustments.
        grey_mean: of the image as the network sees it, in [0, 1]; only contrast needs it.

    Returns:
        (3, 4) float64: BGR pixel levels in [0, 255] and a 1, to normalised BGR.

    Raises:
        ValueError: an adjustment of another name.
    """
    linear, constant = np.eye(3), np.zeros(3)
    for what, factor in adjustments:
        linear, constant = factor * linear, factor * constant
        if what == "contrast":
            constant += (1 - factor) * grey_mean
        elif what == "saturation":
            linear += (1 - factor) * GREY_WEIGHTS
        elif what != "brightness":
            raise ValueError(f"adjustment '{what}', expected brightness, contrast or saturation")
    std = np.asarray(normalization.std, np.float64)
    constant = (constant + np.asarray(lighting, np.float64) - np.asarray(normalization.mean, np.float64)) / std
    return np.column_stack([linear / std[:, None] / 255, constant])


def apply_color(image: Array, matrix: Array, *, out: Array | None = None) -> Array:
    """Every pixel through an affine map.

    Args:
        image: (H, W, 3) uint8, BGR.
        matrix: (3, 4), from `color_matrix`.
        out: (H, W, 3) float32, contiguous, to write into.

    Returns:
        (H, W, 3) float32, normalised BGR: `out` where it is given.

    Raises:
        ValueError: the image has not three channels of uint8, or `out` has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"the image is {image.dtype} {image.shape}, expected uint8 (H, W, 3)")
    out = _checked(out, image.shape)
    np.copyto(out, image)
    colored: Array = cv2.transform(out, np.asarray(matrix, np.float64), dst=out)
    if colored is not out:  # OpenCV allocates anew where it cannot write into `out`
        np.copyto(out, colored)
    return out


def network_input(image: Array, matrix: Array, *, channels: int = 3, layout: Layout = "nchw", out: Array | None = None) -> Array:
    """One image as the network takes it: coloured, normalised, in the network's layout and number of channels.

    Args:
        image: (H, W, 3) uint8, BGR.
        matrix: (3, 4), from `color_matrix`.
        channels: 3, or 4: the fourth is zero *after* the normalisation (half-precision convolutions want even numbers).
        layout: "nchw" or "nhwc".
        out: float32, contiguous, of the result's shape, to write into; a slice of a batch, for example.

    Returns:
        float32, (channels, H, W) for "nchw", (H, W, channels) for "nhwc".

    Raises:
        ValueError: impossible number of channels or layout; the image is not uint8 (H, W, 3); `out` has another shape or type.
    """
    if channels not in (3, 4) or layout not in ("nchw", "nhwc"):
        raise ValueError(f"channels={channels}, layout='{layout}', expected 3 or 4, 'nchw' or 'nhwc'")
    height, width = image.shape[:2]
    if layout == "nhwc" and channels == 3:
        return apply_color(image, matrix, out=out)
    colored = apply_color(image, matrix, out=_scratch_image(height, width))
    if layout == "nhwc":
        out = _checked(out, (height, width, channels))
        cv2.mixChannels([colored], [out], [0, 0, 1, 1, 2, 2, -1, 3])  # -1: zeros
        return out
    out = _checked(out, (channels, height, width))
    cv2.split(colored, [out[0], out[1], out[2]])
    out[3:] = 0
    return out


def normalize(image: Array, normalization: Normalization, *, channels: int = 3, layout: Layout = "nchw", out: Array | None = None) -> Array:
    """One image as the network takes it, without augmentation: `network_input` with the plain normalisation.

    Args:
        image: (H, W, 3) uint8, BGR.
        normalization: mean and std of BGR pixels in [0, 1].
        channels: 3, or 4: the fourth is zero *after* the normalisation.
        layout: "nchw" or "nhwc".
        out: float32, contiguous, of the result's shape, to write into.

    Returns:
        float32, (channels, H, W) for "nchw", (H, W, channels) for "nhwc".
    """
    return network_input(image, color_matrix(normalization), channels=channels, layout=layout, out=out)


def _checked(out: Array | None, shape: tuple[int, ...]) -> Array:
    if out is None:
        return np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} {out.shape}, expected contiguous float32 {shape}")
    return out


def _scratch_image(height: int, width: int) -> Array:
    """This thread's float image of that size; the next call overwrites it."""
    image: Array | None = getattr(_scratch, "image", None)
    if image is None or image.shape != (height, width, 3):
        image = _scratch.image = np.empty((height, width, 3), np.float32)
    return image
