"""Arithmetic on arrays of boxes, in continuous coordinates (a box from 0 to 10 is 10 wide)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def xywh_to_xyxy(boxes: Array) -> Array:
    """Corner and size to two corners.

    Args:
        boxes: (..., 4), left, top, width, height, in any unit.

    Returns:
        (..., 4), left, top, right, bottom, in the same unit and floating type (integers become float64).
    """
    boxes = _floating(boxes)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes: Array) -> Array:
    """Two corners to corner and size; the inverse of `xywh_to_xyxy`.

    Args:
        boxes: (..., 4), left, top, right, bottom, in any unit.

    Returns:
        (..., 4), left, top, width, height, in the same unit and floating type (integers become float64).
    """
    boxes = _floating(boxes)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def clip_boxes(boxes: Array, *, height: float, width: float) -> Array:
    """Move every corner to the nearest point of the rectangle [0, width] x [0, height].

    A box outside keeps a side of length 0. The predecessor's targets live in [0, cells - 1]:
    give `height=rows - 1, width=columns - 1` for those.

    Args:
        boxes: (n, 4) xyxy, in the unit of `height` and `width`.
        height: the largest y, >= 0.
        width: the largest x, >= 0.

    Returns:
        (n, 4), a new array.
    """
    boxes = _floating(boxes)
    return np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))


def area(boxes: Array) -> Array:
    """Width times height; 0 for a box whose corners are swapped.

    Args:
        boxes: (n, 4) xyxy.

    Returns:
        (n,), >= 0, in the square of the boxes' unit.
    """
    boxes = _floating(boxes)
    sides: Array = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    product: Array = sides[..., 0] * sides[..., 1]
    return product


def iou_matrix(a: Array, b: Array) -> Array:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        a: (n, 4) xyxy.
        b: (m, 4) xyxy, in the same unit.

    Returns:
        (n, m), in [0, 1]; 0 where both boxes are empty.
    """
    a, b = _floating(a), _floating(b)
    low: Array = np.maximum(a[:, None, :2], b[None, :, :2])
    high: Array = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = area(np.concatenate([low, high], axis=-1))
    union = area(a)[:, None] + area(b)[None, :] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def _floating(boxes: Array) -> Array:
    boxes = np.asarray(boxes)
    return boxes if np.issubdtype(boxes.dtype, np.floating) else boxes.astype(np.float64)
