"""THE way from an image to the network's input, shared by training, test, demo and export, so that they cannot drift apart."""

from __future__ import annotations

import math

import cv2
import numpy as np

from centernet.geometry.affine import center_scale_matrix, compose
from centernet.structures import Array

LARGEST_SIDE = 32766  # pixels; OpenCV warps with coordinates of 16 bits

Range = tuple[int, int]  # of rows or columns: the first, and the one behind the last


def input_size_for(
    image_hw: tuple[int, int],
    configured_hw: tuple[int, int],
    *,
    keep_resolution: bool = False,
    multiple: int = 32,
    missing: tuple[int, int] = (0, 0),
) -> tuple[int, int]:
    """The network's input size for an image.

    Args:
        image_hw: (height, width) of the image, in pixels.
        configured_hw: (height, width) of the configuration, in pixels.
        keep_resolution: pad each image to a multiple above its size instead of resizing all to one size.
        multiple: what the network's sides are multiples of, in pixels: the stride of its coarsest feature.
        missing: pixels that height and width are short of a multiple, 0 or 1.

    Returns:
        (height, width), in pixels. With `keep_resolution` a side that is already a multiple also grows, by one more:
        `(side | 31) + 1` of predecessor and official system (127 for the hourglass), which published results were measured with;
        with one pixel missing `side | 127`, as the keypoint triplets'.
    """
    if not keep_resolution:
        return configured_hw
    height, width = (side // multiple * multiple + multiple - less for side, less in zip(image_hw, missing, strict=True))
    return height, width


def fit_matrix(
    image_hw: tuple[int, int],
    input_hw: tuple[int, int],
    *,
    keep_resolution: bool = False,
    extent: float | None = None,
    center: tuple[float, float] | None = None,
) -> Array:
    """The matrix that lays a whole image into the network's input: centred, aspect kept, the rest black.

    A square around the image, with the image's longer side, fills the input's width. For an input that is not square
    that can leave rows unused or cut off the top and bottom of a tall image (the predecessor's convention).

    Args:
        image_hw: (height, width) of the image, in pixels.
        input_hw: (height, width) of the network's input, in pixels.
        keep_resolution: only shift, by whole pixels; `input_hw` then comes from `input_size_for`.
        extent: the square's side, in image pixels; default the image's longer side. The sides of a resized image
            in combination with the extent of the original zoom in or out (test scales).
        center: (x, y) of the square's middle, in image pixels; default the image's (with `keep_resolution` rounded down).

    Returns:
        (2, 3) float64, image pixels to input pixels.
    """
    height, width = image_hw
    input_height, input_width = input_hw
    if keep_resolution:
        # Half a pixel more where the middle of the input is one.
        center = (width // 2 + input_width % 2 / 2, height // 2 + input_height % 2 / 2) if center is None else center
        extent = input_width if extent is None else extent
    else:
        center = (width / 2, height / 2) if center is None else center
        extent = max(height, width) if extent is None else extent
    return center_scale_matrix(center, extent, (input_width, input_height))


def scaled_size(image_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) of an image at a test scale: rounded down, at least one pixel."""
    height, width = image_hw
    return max(int(height * scale), 1), max(int(width * scale), 1)


def resize_for_scale(image: Array, scale: float) -> Array:
    """An image at a test scale: both sides times `scale`, rounded down, at least one pixel.

    Without `keep_resolution` the zoom comes from fitting the resized image with the extent of the original:
    `fit_matrix(resized.shape[:2], input_hw, extent=max(image.shape[:2]))`.

    Args:
        image: (H, W, 3) uint8.
        scale: > 0; 1 returns the image itself.

    Returns:
        (int(H * scale), int(W * scale), 3) uint8, bilinear.

    Raises:
        ValueError: the scale is not positive.
    """
    if not scale > 0:
        raise ValueError(f"the test scale is {scale}, expected > 0")
    height, width = image.shape[:2]
    size = scaled_size((height, width), scale)
    return image if size == (height, width) else cv2.resize(image, (size[1], size[0]))


def reduction_for(matrix: Array) -> int:
    """How many times smaller an image may be decoded for a view without becoming coarser than the output.

    Args:
        matrix: (2, 3), image pixels to output pixels.

    Returns:
        1, 2, 4 or 8: the largest with which an image pixel is still no larger than an output pixel.
    """
    (a, b, _), (c, d, _) = np.asarray(matrix, np.float64).tolist()
    zoom = math.sqrt(abs(a * d - b * c))
    return 1 if zoom > 0.5 else 2 if zoom > 0.25 else 4 if zoom > 0.125 else 8


def reduction_of(decoded_hw: tuple[int, int], image_hw: tuple[int, int], *, asked: int) -> int | None:
    """By how much an image was decoded smaller: `asked` or less, both 1, 2, 4 or 8; None if its sides are another image's."""
    if asked == 1:
        return 1 if decoded_hw == image_hw else None
    reductions = (reduction for reduction in (8, 4, 2, 1) if reduction <= asked)
    return next((r for r in reductions if all(-(-side // r) == got for side, got in zip(image_hw, decoded_hw, strict=True))), None)


def reduced_matrix(matrix: Array, reduction: int) -> Array:
    """The matrix for an image that was decoded smaller: pixel i of it covers pixels i * reduction ... of the whole image.

    Coordinates are those of `warp`, where the middle of pixel i is i, so the middle of those pixels is (reduction - 1) / 2
    beyond the first one's.

    Args:
        matrix: (2, 3), pixels of the whole image to output pixels.
        reduction: 1, 2, 4 or 8.

    Returns:
        (2, 3) float64, pixels of the smaller image to output pixels.
    """
    if reduction == 1:
        return matrix
    middle = (reduction - 1) / 2
    return compose(np.array([[reduction, 0, middle], [0, reduction, middle]], np.float64), matrix)


def warp(image: Array, matrix: Array, size_hw: tuple[int, int], *, out: Array | None = None) -> Array:
    """An image seen through a matrix: one bilinear resampling, black where the image ends.

    Args:
        image: (H, W, 3) uint8.
        matrix: (2, 3), image pixels to output pixels.
        size_hw: (height, width) of the output, in pixels.
        out: (height, width, 3) uint8, contiguous, to write into.

    Returns:
        (height, width, 3) uint8: `out` where it is given.

    Raises:
        ValueError: `out` has another shape or type.
    """
    height, width = size_hw
    shape = (height, width, *image.shape[2:])
    if max(image.shape[:2]) > LARGEST_SIDE:
        image, reduction = _reduced(image)
        matrix = reduced_matrix(matrix, reduction)
    if out is None:
        out = np.empty(shape, image.dtype)
    elif out.shape != shape or out.dtype != image.dtype:
        raise ValueError(f"out is {out.dtype} {out.shape}, expected {image.dtype} {shape}")
    matrix = np.array(matrix, np.float64)
    rows, columns = (slice(*limits) for limits in _covered(matrix, (image.shape[0], image.shape[1]), size_hw))
    columns = slice(_exact_start(matrix[0, 0], columns.start), columns.stop)
    matrix[:, 2] -= columns.start, rows.start
    part = out[rows, columns]
    if part.size:
        size_wh = part.shape[1], part.shape[0]
        warped = cv2.warpAffine(image, matrix, size_wh, dst=part, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        if warped is not part:  # OpenCV allocates anew where it cannot write into `out`
            np.copyto(part, warped)
    out[: rows.start], out[rows.stop :] = 0, 0
    out[rows, : columns.start], out[rows, columns.stop :] = 0, 0
    return out


def covered_rows(matrix: Array, image_hw: tuple[int, int], size_hw: tuple[int, int]) -> Range:
    """The rows of a warped image that can hold anything but black: an image that is wider than the output leaves many empty.

    Args:
        matrix: (2, 3), image pixels to output pixels.
        image_hw: (height, width), in pixels.
        size_hw: (height, width) of the output, in pixels.

    Returns:
        The first of them and the one behind the last; all rows where the view is rotated.
    """
    return _covered(matrix, image_hw, size_hw)[0]


def _covered(matrix: Array, image_hw: tuple[int, int], size_hw: tuple[int, int]) -> tuple[Range, Range]:
    """The rows and the columns of a warped image outside of which it is black."""
    (a, b, x), (c, d, y) = np.asarray(matrix, np.float64).tolist()
    (height, width), (rows, columns) = image_hw, size_hw
    if b or c:
        return (0, rows), (0, columns)
    return _reach(d, y, height, rows), _reach(a, x, width, columns)


def _reach(slope: float, shift: float, side: int, limit: int) -> Range:
    # Bilinear resampling reaches one pixel beyond the image on either side; one output pixel more leaves room for rounding.
    low, high = sorted((shift - slope, shift + slope * side))
    first = min(max(math.ceil(low) - 1, 0), limit)
    return first, max(min(math.floor(high) + 2, limit), first)


def _exact_start(zoom: float, first: int) -> int:
    """The last column up to `first` from where a warp gives the same pixels as from column 0.

    OpenCV rounds the way from the warp's first column to each column to 1/1024 of an image pixel, and the place of the
    first one too, so the sum depends on where it starts, unless the way up to there needs no rounding.
    """
    if first == 0 or zoom == 0:
        return 0
    way = np.arange(first + 1) * (1024 / zoom)
    return int(np.flatnonzero(np.abs(way - np.rint(way)) < 1e-6)[-1])


def _reduced(image: Array) -> tuple[Array, int]:
    """An image with a side above `LARGEST_SIDE` as many times smaller as it takes: each pixel the mean of those it covers."""
    height, width = image.shape[:2]
    reduction = -(-max(height, width) // LARGEST_SIDE)
    rows, columns = max(height // reduction, 1), max(width // reduction, 1)
    whole = image[: rows * reduction, : columns * reduction]
    return cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), reduction
