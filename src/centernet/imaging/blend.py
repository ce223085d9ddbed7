"""One image over another."""

from __future__ import annotations

import cv2

from centernet.structures import Array


def blend(first: Array, second: Array, share: float) -> Array:
    """The weighted mean of two images of one size.

    Args:
        first: (H, W, c) uint8.
        second: (H, W, c) uint8.
        share: of the first, in [0, 1].

    Returns:
        (H, W, c) uint8, a new array, rounded.
    """
    return cv2.addWeighted(first, share, second, 1 - share, 0.0)
