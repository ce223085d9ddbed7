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

# Rows are coloured in blocks of so many bytes of float pixels, so that all passes over a block find it in the processor's
# cache: 40 % faster than whole images of 512x512.
_BLOCK_BYTES = 2**19 * 3 // 4
# Memory that is used over and over, per thread: allocated anew for each image, the page faults cost more than the arithmetic.
_scratch = threading.local()


def grey_mean(image: Array) -> float:
    """The mean of the grey version of an image; contrast is changed around it.

    Args:
        image: (H, W, 3) uint8, BGR.

    Returns:
        In [0, 1].
    """
    height, width = image.shape[:2]
    sums = np.zeros(3)
    for top in range(0, height, _block_rows(width)):
        # OpenCV adds up planes of bytes four times faster than interleaved channels.
        sums += [cv2.norm(plane, cv2.NORM_L1) for plane in cv2.split(image[top : top + _block_rows(width)])]
    return float(GREY_WEIGHTS @ sums) / (height * width) / 255


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
    _check_image(image)
    out = _checked(out, image.shape)
    matrix = np.asarray(matrix, np.float64)
    for top in range(0, image.shape[0], _block_rows(image.shape[1])):
        block = slice(top, top + _block_rows(image.shape[1]))
        _color_block(image[block], matrix, out[block])
    return out


def network_input(
    image: Array,
    matrix: Array,
    *,
    channels: int = 3,
    layout: Layout = "nchw",
    out: Array | None = None,
    rows: tuple[int, int] | None = None,
) -> Array:
    """One image as the network takes it: coloured, normalised, in the network's layout and number of channels.

    Args:
        image: (H, W, 3) uint8, BGR.
        matrix: (3, 4), from `color_matrix`.
        channels: 3, or 4: the fourth is zero *after* the normalisation (half-precision convolutions want even numbers).
        layout: "nchw" or "nhwc".
        out: float32, contiguous, of the result's shape, to write into; a slice of a batch, for example.
        rows: the first row that is not black throughout and the one behind the last, from `covered_rows`; None looks at all.

    Returns:
        float32, (channels, H, W) for "nchw", (H, W, channels) for "nhwc".

    Raises:
        ValueError: impossible number of channels or layout; the image is not uint8 (H, W, 3); `out` has another shape or type.
    """
    if channels not in (3, 4) or layout not in ("nchw", "nhwc"):
        raise ValueError(f"channels={channels}, layout='{layout}', expected 3 or 4, 'nchw' or 'nhwc'")
    _check_image(image)
    height, width = image.shape[:2]
    out = _checked(out, (channels, height, width) if layout == "nchw" else (height, width, channels))
    matrix = np.asarray(matrix, np.float64)
    first, end = (0, height) if rows is None else rows
    black = np.append(matrix[:, 3], 0)[:channels].astype(np.float32)
    for top in range(first, end, _block_rows(width)):
        block = slice(top, min(top + _block_rows(width), end))
        if layout == "nhwc" and channels == 3:
            _color_block(image[block], matrix, out[block])
            continue
        colored = _color_block(image[block], matrix, _scratch_floats(block.stop - top, width))
        if layout == "nhwc":
            cv2.mixChannels([colored], [out[block]], [0, 0, 1, 1, 2, 2, -1, 3])  # -1: zeros
        else:
            cv2.split(colored, [out[0, block], out[1, block], out[2, block]])
    for edge in (slice(0, first), slice(end, height)):
        if layout == "nhwc":
            out[edge] = np.tile(black, (width, 1))
        else:
            out[:, edge] = black[:, None, None]
    if layout == "nchw":
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


def _check_image(image: Array) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"the image is {image.dtype} {image.shape}, expected uint8 (H, W, 3)")


def _color_block(image: Array, matrix: Array, out: Array) -> Array:
    np.copyto(out, image)
    colored: Array = cv2.transform(out, matrix, dst=out)
    if colored is not out:  # OpenCV allocates anew where it cannot write into `out`
        np.copyto(out, colored)
    return out


def _block_rows(width: int) -> int:
    return max(_BLOCK_BYTES // (3 * 4 * width), 1)


def _scratch_floats(height: int, width: int) -> Array:
    """This thread's float image of that size; the next call overwrites it."""
    count = height * width * 3
    memory: Array | None = getattr(_scratch, "memory", None)
    if memory is None or memory.size < count:
        memory = _scratch.memory = np.empty(max(count, _BLOCK_BYTES // 4), np.float32)
    return memory[:count].reshape(height, width, 3)
