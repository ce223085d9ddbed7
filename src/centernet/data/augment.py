"""Random views of a training image: where to look (one matrix) and in what light (parameters of one colour matrix)."""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.data.mixing import ErasingConfig, MixupConfig, MosaicConfig
from centernet.data.transforms import TransformConfig
from centernet.errors import STRICT
from centernet.geometry import affine
from centernet.structures import Array

Generator = np.random.Generator
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
Jitter = Annotated[float, Field(ge=0, lt=1)]
Triple = tuple[float, float, float]
Mirror = Literal["published", "exact"]
Step = tuple[Literal["brightness", "contrast", "saturation"], float]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AugmentConfig:
    """How far training images are varied; the defaults are the predecessor's and the paper's code's.

    With `random_crop` a square of one of `crop_scales` times the image's longer side looks at a place that keeps `crop_border`
    pixels from the edges; `crop_of: input` takes the input's width instead, whatever the image's size, as CornerNet does, so that
    objects are seen at about their own size. Without, the middle moves by about `shift` of the longer side and the size varies by
    about `scale`. `transforms` of the albumentations library come before all else. mosaic, mixup, erasing: not done without their
    sections.
    mirror: where the boxes of a mirrored image are, see `box_matrix`.
    """

    random_crop: bool = True
    crop_scales: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    crop_of: Literal["image", "input"] = "image"
    crop_border: Annotated[int, Field(ge=0)] = 128  # halved until two borders fit into the image
    shift: Amount = 0.1  # standard deviation; cut off at twice that
    scale: Jitter = 0.4  # standard deviation and cut-off
    flip: Share = 0.5  # probability of a mirror image
    mirror: Mirror = "published"
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0  # the largest angle, either way
    rotation_probability: Share = 1.0
    color: bool = True
    brightness: Jitter = 0.4
    contrast: Jitter = 0.4
    saturation: Jitter = 0.4
    lighting: Amount = 0.1  # standard deviation along each principal component
    # Principal components of ImageNet's colours, BGR (Krizhevsky et al. 2012, section 4.1, on pixels in [0, 1]).
    eigen_values: Triple = (0.2141788, 0.01817699, 0.00341571)
    eigen_vectors: tuple[Triple, Triple, Triple] = (
        (-0.58752847, -0.69563484, 0.41340352),
        (-0.5832747, 0.00994535, -0.81221408),
        (-0.56089297, 0.71832671, 0.41158938),
    )
    transforms: tuple[TransformConfig, ...] = ()
    mosaic: MosaicConfig | None = None
    mixup: MixupConfig | None = None
    erasing: ErasingConfig | None = None


@plain_dataclass(frozen=True)
class ColorChange:
    """What happens to the colours of one image, on BGR in [0, 1].

    steps: (kind, factor) in the order in which they are applied. lighting: added to blue, green and red at the end.
    """

    steps: tuple[Step, ...] = ()
    lighting: Triple = (0.0, 0.0, 0.0)


def sample_geometry(rng: Generator, image_hw: tuple[int, int], input_hw: tuple[int, int], config: AugmentConfig) -> tuple[Array, bool]:
    """Choose the view of one training image.

    A mirrored image has pixel x at width - 1 - x, as the predecessor mirrors both pixels and boxes.

    Args:
        rng: where the choices come from; the same number of draws whatever the image.
        image_hw: (height, width), in pixels, >= 1.
        input_hw: (height, width) of the network's input, in pixels.
        config: how far to go.

    Returns:
        The matrix (2, 3) from image pixels to input pixels, the mirroring included, and whether it mirrors.
    """
    height, width = image_hw
    extent = float(max(height, width))
    if config.random_crop:
        extent = extent if config.crop_of == "image" else float(input_hw[1])
        extent *= config.crop_scales[int(rng.integers(0, len(config.crop_scales)))]  # as `rng.choice`, which is slow
        center = _crop_center(rng, width, config.crop_border), _crop_center(rng, height, config.crop_border)
    else:
        moved = np.clip(rng.standard_normal(2) * config.shift, -2 * config.shift, 2 * config.shift) * extent
        center = width / 2 + float(moved[0]), height / 2 + float(moved[1])
        extent *= float(np.clip(rng.standard_normal() * config.scale + 1, 1 - config.scale, 1 + config.scale))
    is_flipped = bool(rng.random() < config.flip)
    is_rotated, angle = rng.random() < config.rotation_probability, float(rng.uniform(-1, 1)) * config.rotation_degrees
    if is_flipped:
        center = width - 1 - center[0], center[1]
    view = affine.center_scale_matrix(center, extent, (input_hw[1], input_hw[0]), rotation_degrees=angle if is_rotated else 0.0)
    return (affine.compose(affine.horizontal_flip(width), view) if is_flipped else view), is_flipped


def box_matrix(matrix: Array, *, is_flipped: bool, mirror: Mirror) -> Array:
    """The matrix for the boxes of a view.

    Pixel i of an image w wide, which a box from i to i + 1 surrounds, is mirrored to w - 1 - i, so the box is to go to w - 1 - i
    and w - i: x to w - x. Published code takes boxes through the pixels' matrix, x to w - 1 - x, one image pixel to the left of
    what is in them; a detector trained on views half of which are mirrored learns boxes half a pixel to the left.

    Args:
        matrix: (2, 3), of the pixels, from `sample_geometry`.
        is_flipped: whether it mirrors.
        mirror: "published": the same matrix; "exact": that of the mirrored boxes.

    Returns:
        (2, 3) float64, image pixels to input pixels.
    """
    if not is_flipped or mirror == "published":
        return matrix
    return affine.compose(np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]), matrix)


def crop_border(side: int, largest: int) -> int:
    """How far a crop's middle stays from the edge: `largest`, halved until something is left between the two borders.

    Args:
        side: height or width of the image, in pixels, >= 1.
        largest: the border of a large image, in pixels.
    """
    divisor = 1
    while side - largest // divisor <= largest // divisor:
        divisor *= 2
    return largest // divisor


def _crop_center(rng: Generator, side: int, largest_border: int) -> float:
    border = crop_border(side, largest_border)
    return float(rng.integers(border, side - border))


def sample_color(rng: Generator, config: AugmentConfig) -> ColorChange:
    """Choose the light of one training image: three steps in random order, each with a factor around 1, then PCA lighting."""
    if not config.color:
        return ColorChange()
    jitters: tuple[Step, ...] = (
        ("brightness", config.brightness),
        ("contrast", config.contrast),
        ("saturation", config.saturation),
    )
    factors = [1 + share * jitter for share, (_, jitter) in zip(rng.uniform(-1, 1, 3).tolist(), jitters, strict=True)]
    steps = tuple((jitters[i][0], factors[i]) for i in rng.permutation(3).tolist())
    along = [draw * config.lighting * value for draw, value in zip(rng.standard_normal(3).tolist(), config.eigen_values, strict=True)]
    blue, green, red = (sum(a * part for a, part in zip(along, row, strict=True)) for row in config.eigen_vectors)
    return ColorChange(steps, (blue, green, red))
