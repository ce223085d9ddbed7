"""From an image to the network's input and, for the boxes, back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from centernet.errors import DataError
from centernet.geometry.affine import invert, transform_boxes
from centernet.imaging.color import Layout, normalize
from centernet.imaging.warp import LARGEST_SIDE, fit_matrix, input_size_for, resize_for_scale, scaled_size, warp
from centernet.inference.session import Session
from centernet.structures import Array, Detections, Normalization

# A pixel of the network's input takes at least so many bytes: 64 float32 channels at half the size, as first layers have.
INPUT_BYTES = 64


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What the network wants to see.

    size: (height, width) in pixels. channels: 3, or 4 where the fourth is zero. keep_resolution: pad every image to its own
    size, rounded up to a multiple of `multiple`, or to one pixel less where `size` is, instead of resizing all to `size`.
    """

    size: tuple[int, int]
    normalization: Normalization
    channels: int = 3
    layout: Layout = "nchw"
    keep_resolution: bool = False
    multiple: int = 32

    @property
    def missing(self) -> tuple[int, int]:
        """Pixels, 0 or 1, that height and width of every input are short of a multiple, as 511 is of 128."""
        height, width = (int(-side % self.multiple == 1) for side in self.size)
        return height, width

    def size_for(self, image_hw: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the network's input for an image of this (height, width)."""
        return input_size_for(image_hw, self.size, keep_resolution=self.keep_resolution, multiple=self.multiple, missing=self.missing)


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
    size = spec.size_for((height, width))
    # The extent of the image as it was: fitting the resized one with its own would undo the scale.
    extent = None if spec.keep_resolution else max(image.shape[:2])
    matrix = fit_matrix((height, width), size, keep_resolution=spec.keep_resolution, extent=extent)
    return FittedImage(warped=warp(resized, matrix, size), matrix=matrix, scale=scale)


def check_extent(image_hw: tuple[int, int], spec: InputSpec, *, scale: float, memory: int | None) -> None:
    """DataError where an image at a test scale, or the network's input for it, is larger than can be worked with.

    Args:
        image_hw: (height, width) of the image, in pixels.
        memory: bytes there are; None: unknown.
    """
    height, width = image_hw
    resized = scaled_size(image_hw, scale)
    size = spec.size_for(resized)
    sides = (*(resized if scale != 1 else ()), *(size if spec.keep_resolution else ()))
    needed = 3 * resized[0] * resized[1] * (scale != 1) + INPUT_BYTES * size[0] * size[1] * spec.keep_resolution
    is_too_large = max(sides, default=0) > LARGEST_SIDE
    if not is_too_large and (memory is None or needed <= memory):
        return
    grown = (
        f"{width}x{height} pixels becomes {resized[1]}x{resized[0]} at test scale {scale:g}" if scale != 1 else f"{width}x{height} pixels"
    )
    bound = f"at most {LARGEST_SIDE} pixels a side" if is_too_large else f"no more memory than the {memory or 0:,} bytes that are free"
    cures = ["smaller --test_scales"] if scale != 1 else []
    cures += ["--fix_res in place of --keep_res"] if spec.keep_resolution else []
    raise DataError(f"an image of {grown}, which takes {needed:,} bytes; expected {bound}; use {' or '.join(cures)}")


def stack(fitted: Sequence[FittedImage]) -> Array:
    """Images of one size as a batch of pixels, (B, h, w, 3) uint8 BGR; a single image is not copied."""
    return fitted[0].warped[np.newaxis] if len(fitted) == 1 else np.stack([image.warped for image in fitted])


def normalized(pixels: Array, spec: InputSpec) -> Array:
    """A batch of pixels, (B, h, w, 3) uint8 BGR, as the network takes it: (B, C, h, w) or (B, h, w, C) float32."""
    height, width = pixels.shape[1:3]
    shape = (height, width, spec.channels) if spec.layout == "nhwc" else (spec.channels, height, width)
    batch = np.empty((len(pixels), *shape), np.float32)
    for image, out in zip(pixels, batch, strict=True):
        normalize(image, spec.normalization, channels=spec.channels, layout=spec.layout, out=out)
    return batch


class NormalizingSession:
    """A session of a model that wants its input normalised, as one that takes pixels."""

    def __init__(self, session: Session, spec: InputSpec) -> None:
        self._session, self._spec = session, spec
        self.parallel_runs = session.parallel_runs

    @property
    def summary(self) -> str:
        return self._session.summary

    @property
    def precision(self) -> str:
        return self._session.precision

    def run(self, image: Array) -> dict[str, Array]:
        return self._session.run(normalized(image, self._spec))


def to_image(detections: Detections, fitted: FittedImage) -> Detections:
    """Boxes in network-input pixels as boxes in pixels of the image itself, not clipped."""
    boxes = transform_boxes(detections.boxes, invert(fitted.matrix)) / fitted.scale
    return replace(detections, boxes=boxes)
