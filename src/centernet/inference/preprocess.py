"""From an image to the network's input and, for the boxes, back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from centernet.geometry.affine import invert, transform_boxes
from centernet.imaging.color import Layout, normalize
from centernet.imaging.warp import fit_matrix, input_size_for, resize_for_scale, warp
from centernet.structures import Array, Detections, Normalization


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What the network wants to see.

    size: (height, width) in pixels. channels: 3, or 4 where the fourth is zero. keep_resolution: pad every image to its own
    size instead of resizing all to `size`.
    """

    size: tuple[int, int]
    normalization: Normalization
    channels: int = 3
    layout: Layout = "nchw"
    keep_resolution: bool = False


@dataclass(frozen=True, kw_only=True)
class FittedImage:
    """An image in the network's frame.

    warped: (h, w, 3) uint8 BGR, the network's input before normalisation. matrix: (2, 3), pixels of the (resized) image to
    pixels of the input. scale: the image was resized by it first.
    """

    warped: Array
    matrix: Array
    scale: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        height, width = self.warped.shape[:2]
        return height, width


def fit(image: Array, spec: InputSpec, *, scale: float = 1.0) -> FittedImage:
    """Lay an image into the network's input.

    Args:
        image: (H, W, 3) uint8, BGR.
        scale: a test scale; 1 but for tests at several scales.
    """
    resized = resize_for_scale(image, scale)
    height, width = resized.shape[:2]
    size = input_size_for((height, width), spec.size, keep_resolution=spec.keep_resolution)
    # The extent of the image as it was: fitting the resized one with its own would undo the scale.
    extent = None if spec.keep_resolution else max(image.shape[:2])
    matrix = fit_matrix((height, width), size, keep_resolution=spec.keep_resolution, extent=extent)
    return FittedImage(warped=warp(resized, matrix, size), matrix=matrix, scale=scale)


def stack(fitted: list[FittedImage], spec: InputSpec) -> Array:
    """Normalised images of one size as the network's input: (B, C, h, w) or (B, h, w, C) float32."""
    height, width = fitted[0].size
    shape = (height, width, spec.channels) if spec.layout == "nhwc" else (spec.channels, height, width)
    batch = np.empty((len(fitted), *shape), np.float32)
    for image, out in zip(fitted, batch, strict=True):
        normalize(image.warped, spec.normalization, channels=spec.channels, layout=spec.layout, out=out)
    return batch


def to_image(detections: Detections, fitted: FittedImage) -> Detections:
    """Boxes in network-input pixels as boxes in pixels of the image itself, not clipped."""
    boxes = transform_boxes(detections.boxes, invert(fitted.matrix)) / fitted.scale
    return replace(detections, boxes=boxes)
