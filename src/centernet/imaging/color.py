"""Colour jitter, lighting noise and normalisation as ONE affine matrix per image, and applying it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Literal

import cv2
import numpy as np

from centernet.structures import Array, Normalization

Adjustment = Literal["brightness", "contrast", "saturation"]
Layout = Literal["nchw", "nhwc"]
Rows = tuple[int, int]

# ITU-R BT.601 luma in BGR order, what OpenCV's grey conversion uses.
GREY_WEIGHTS = (0.114, 0.587, 0.299)

# Rows are coloured in blocks of so many bytes of float pixels, so that all passes over a block find it in the processor's
# cache: 40 % faster than whole images of 512x512.
_BLOCK_BYTES = 2**19 * 3 // 4
# Memory that is used over and over, per thread: allocated anew for each image, the page faults cost more than the arithmetic.
_memory = threading.local()


def with_fourth_channel(image: Array) -> Array:
    """An image of three channels with a fourth one of no meaning: OpenCV warps four, and adds them up, faster than three.

    Args:
        image: (H, W, 3) uint8.

    Returns:
        (H, W, 4) uint8.
    """
    return cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)


def without_fourth_channel(image: Array, *, out: Array | None = None) -> Array:
    """The first three channels.

    Args:
        image: (H, W, 4) uint8.
        out: (H, W, 3) uint8, contiguous, to write into.

    Returns:
        (H, W, 3) uint8: `out` where it is given.
    """
    if out is None:
        out = np.empty((*image.shape[:2], 3), np.uint8)
    return _stored(cv2.cvtColor(image, cv2.COLOR_BGRA2BGR, dst=out), out)


def grey_mean(image: Array) -> float:
    """The mean of the grey version of an image; contrast is changed around it.

    Args:
        image: (H, W, 3 or 4) uint8, BGR; the fourth channel is ignored.

    Returns:
        In [0, 1].
    """
    return sum(weight * mean for weight, mean in zip(GREY_WEIGHTS, cv2.mean(image), strict=False)) / 255


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
    # All that happens to a pixel so far: own * itself + mixed * its grey value + constant, the same for every channel.
    own, mixed, constant = 1.0, 0.0, 0.0
    for what, factor in adjustments:
        own, mixed, constant = factor * own, factor * mixed, factor * constant
        if what == "contrast":
            constant += (1 - factor) * grey_mean
        elif what == "saturation":
            mixed += 1 - factor
        elif what != "brightness":
            raise ValueError(f"adjustment '{what}', expected brightness, contrast or saturation")
    rows = []
    for channel, (mean, std, light) in enumerate(zip(normalization.mean, normalization.std, lighting, strict=True)):
        linear = [(mixed * weight + own * (i == channel)) / std / 255 for i, weight in enumerate(GREY_WEIGHTS)]
        rows.append([*linear, (constant + light - mean) / std])
    return np.array(rows, np.float64)


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
    for block in _blocks(0, image.shape[0], image.shape[1]):
        _color_block(image[block], matrix, out[block])
    return out


def network_input(
    image: Array,
    matrix: Array,
    *,
    channels: int = 3,
    layout: Layout = "nchw",
    out: Array | None = None,
    rows: Rows | None = None,
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
    for block in _blocks(first, end, width):
        if layout == "nhwc" and channels == 3:
            _color_block(image[block], matrix, out[block])
            continue
        colored = _color_block(image[block], matrix, _scratch_block(block.stop - block.start, width))
        if layout == "nhwc":
            cv2.mixChannels([colored], [out[block]], [0, 0, 1, 1, 2, 2, -1, 3])  # -1: zeros
        else:
            cv2.split(colored, list(out[:3, block]))
    black = np.append(matrix[:, 3], 0)[:channels].astype(np.float32)
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
    return _stored(cv2.transform(out, matrix, dst=out), out)


def _stored(result: Array, out: Array) -> Array:
    if result is not out:  # OpenCV allocates anew where it cannot write into `out`
        np.copyto(out, result)
    return out


def _blocks(first: int, end: int, width: int) -> Iterator[slice]:
    """Rows in blocks that fit into the cache as floats."""
    step = max(_BLOCK_BYTES // (3 * 4 * width), 1)
    return (slice(top, min(top + step, end)) for top in range(first, end, step))


def _scratch_block(height: int, width: int) -> Array:
    """This thread's block of float pixels; the next call overwrites it."""
    count = height * width * 3
    memory: Array | None = getattr(_memory, "block", None)
    if memory is None or memory.size < count:
        memory = _memory.block = np.empty(count, np.float32)
    return memory[:count].reshape(height, width, 3)
