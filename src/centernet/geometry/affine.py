"""2x3 matrices that take points (x, y) of one image to another: (x', y') = matrix[:, :2] @ (x, y) + matrix[:, 2]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def center_scale_matrix(
    center: tuple[float, float] | Array,
    scale: float | tuple[float, float] | Array,
    output_size_wh: tuple[int, int],
    *,
    rotation_degrees: float = 0.0,
    shift: tuple[float, float] | Array = (0.0, 0.0),
) -> Array:
    """The matrix that brings a window of an image onto an output: aspect kept, the window's centre to the output's.

    The zoom is output width over window *width*, whatever the heights are: an output that is not square shows
    more or less than the window's height (the predecessor's convention, which published weights were trained with).

    Args:
        center: (x, y), the window's middle, in source pixels.
        scale: width (and height) of the window, in source pixels, > 0; one number is both.
        output_size_wh: (width, height) of the output, in pixels.
        rotation_degrees: turns the window; positive is clockwise as seen on a screen (y points down).
        shift: moves the window by this share of its width and height.

    Returns:
        (2, 3) float64, source pixels to output pixels.

    Raises:
        ValueError: the window's width is not positive.
    """
    # In plain numbers: arrays as small as these cost more to make than to compute with.
    (window_width, window_height) = (float(scale),) * 2 if np.ndim(scale) == 0 else map(float, scale)  # type: ignore[arg-type]
    if not window_width > 0:
        raise ValueError(f"the window's width is {window_width}, expected > 0")
    width, height = output_size_wh
    zoom = width / window_width
    angle = math.radians(rotation_degrees)
    cosine, sine = zoom * math.cos(angle), zoom * math.sin(angle)
    x, y = float(center[0]) + window_width * float(shift[0]), float(center[1]) + window_height * float(shift[1])
    return np.array([[cosine, sine, width / 2 - (cosine * x + sine * y)], [-sine, cosine, height / 2 - (cosine * y - sine * x)]])


def horizontal_flip(width: int) -> Array:
    """The matrix that mirrors an image: pixel x goes to width - 1 - x, as reversing its columns does.

    Args:
        width: of the image, in pixels.

    Returns:
        (2, 3) float64, its own inverse.
    """
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def invert(matrix: Array) -> Array:
    """The way back.

    Args:
        matrix: (2, 3), source to output.

    Returns:
        (2, 3) float64, output to source.

    Raises:
        ValueError: the matrix flattens the plane, so there is no way back.
    """
    (a, b, x), (c, d, y) = np.asarray(matrix, np.float64).tolist()
    determinant = a * d - b * c
    if determinant == 0:
        raise ValueError(f"the matrix has determinant 0 and no inverse: {matrix}")
    linear = np.array([[d, -b], [-c, a]]) / determinant
    return np.column_stack([linear, -linear @ np.array([x, y])])


def compose(first: Array, second: Array) -> Array:
    """One matrix for applying `first` and then `second`.

    Args:
        first: (2, 3), frame A to frame B.
        second: (2, 3), frame B to frame C.

    Returns:
        (2, 3) float64, frame A to frame C.
    """
    ((a, b, x), (c, d, y)), ((e, f, u), (g, h, v)) = np.asarray(first, np.float64).tolist(), np.asarray(second, np.float64).tolist()
    return np.array([
        [e * a + f * c, e * b + f * d, e * x + f * y + u],
        [g * a + h * c, g * b + h * d, g * x + h * y + v],
    ])  # fmt: skip


def transform_points(points: Array, matrix: Array) -> Array:
    """Points seen in the other frame.

    Args:
        points: (..., 2), x and y, in source pixels.
        matrix: (2, 3), source to output.

    Returns:
        (..., 2) float64, in output pixels.
    """
    matrix = np.asarray(matrix, np.float64)
    moved: Array = np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return moved


def transform_boxes(boxes: Array, matrix: Array) -> Array:
    """The upright boxes around the transformed ones.

    Without rotation these are the two transformed corners, and a box with swapped corners stays one (so that the
    target encoder still drops it). A mirrored box comes out with its corners in order.

    Args:
        boxes: (n, 4) xyxy, in source pixels.
        matrix: (2, 3), source to output.

    Returns:
        (n, 4) float64 xyxy, in output pixels, not clipped.
    """
    (a, b, x), (c, d, y) = np.asarray(matrix, np.float64).tolist()
    a, negative_a = max(a, 0.0), min(a, 0.0)
    b, negative_b = max(b, 0.0), min(b, 0.0)
    c, negative_c = max(c, 0.0), min(c, 0.0)
    d, negative_d = max(d, 0.0), min(d, 0.0)
    # Where an entry is negative, a corner's coordinate comes from the other corner.
    linear = [
        [a, c, negative_a, negative_c],
        [b, d, negative_b, negative_d],
        [negative_a, negative_c, a, c],
        [negative_b, negative_d, b, d],
    ]
    moved: Array = np.asarray(boxes, np.float64) @ np.array(linear) + np.array([x, y, x, y])
    return moved
