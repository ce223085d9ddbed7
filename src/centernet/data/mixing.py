"""Samples of several images, and with holes: which images, where, and what becomes of their objects. Choices only, no pixels."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT, ConfigError
from centernet.geometry.boxes import area, clip_boxes
from centernet.structures import Array

Generator = np.random.Generator
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Inner = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class _Late:
    """off_for_last: the last epochs of a training do without; below 1 a share of all epochs, from 1 on their number."""

    probability: Share = 0.5
    off_for_last: Annotated[float, Field(ge=0)] = 0.1

    def __post_init__(self) -> None:
        if self.off_for_last >= 1 and self.off_for_last != int(self.off_for_last):
            raise ValueError(f"off_for_last: found {self.off_for_last:g}, expected a share of the epochs below 1, or their whole number")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MosaicConfig(_Late):
    """Four images side by side around a point (Bochkovskiy et al. 2020, YOLOv4, arXiv:2004.10934, section 3.4).

    center: where the point may be, as shares of the input's sides. zoom: how large an image is beside its view alone; each has
    one between these two. min_visible: an object is kept if at least this share of its box is on its own tile.
    """

    center: tuple[Inner, Inner] = (0.3, 0.7)
    zoom: tuple[Positive, Positive] = (0.5, 1.0)
    min_visible: Share = 0.1

    def __post_init__(self) -> None:
        _Late.__post_init__(self)
        _check_order("center", self.center)
        _check_order("zoom", self.zoom)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MixupConfig(_Late):
    """Another image shines through (Zhang et al. 2017, mixup, arXiv:1710.09412; 2019, arXiv:1902.04103, for detection).

    The objects of both count in full. alpha: of the Beta distribution that the first one's share comes from: 32 is about a half,
    1 any share.
    """

    alpha: Positive = 32.0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ErasingConfig(_Late):
    """A rectangle without meaning (Zhong et al. 2017, Random Erasing, arXiv:1708.04896); the boxes stay.

    of: one in the image, in each object, or both; each with `probability`. area: its share of that. aspect: its height over its
    width. fill: noise, or the mean colour of the data set.
    """

    off_for_last: Annotated[float, Field(ge=0)] = 0.0
    of: Literal["image", "objects", "both"] = "image"
    area: tuple[Inner, Inner] = (0.02, 0.2)
    aspect: tuple[Positive, Positive] = (0.3, 3.33)
    fill: Literal["noise", "mean"] = "noise"

    def __post_init__(self) -> None:
        _Late.__post_init__(self)
        _check_order("area", self.area)
        _check_order("aspect", self.aspect)


class Rect(NamedTuple):
    """Whole pixels of the network's input: columns left to right - 1, rows top to bottom - 1."""

    left: int
    top: int
    right: int
    bottom: int


class Tile(NamedTuple):
    """An image's place in a mosaic, and how large it is there beside its view alone."""

    rect: Rect
    zoom: float


class Company(NamedTuple):
    """The other images of a sample.

    tiles: of the sample's own image and of the images `beside`; none: it is no mosaic. over: the image that shines through, and
    share, how much of all is not that image, in [0, 1].
    """

    tiles: tuple[Tile, ...] = ()
    beside: tuple[int, ...] = ()
    over: int | None = None
    share: float = 1.0

    @property
    def images(self) -> tuple[int, ...]:
        """Their numbers."""
        return self.beside if self.over is None else (*self.beside, self.over)


def is_off(config: _Late | None, epoch: int, num_epochs: int | None) -> bool:
    """Whether an epoch does without; always where there is no such section. num_epochs: of the training, None if not known."""
    return config is None or (num_epochs is not None and epoch >= num_epochs - _num_last(config, num_epochs))


def check_late(config: _Late | None, num_epochs: int, *, path: str) -> None:
    """ConfigError where no epoch is left with it; path: of the section in the YAML."""
    if config is not None and config.off_for_last >= num_epochs:
        raise ConfigError(
            f"{path}.off_for_last: the last {config.off_for_last:g} of {num_epochs} epochs (train.epochs) leave none with it; "
            "expected fewer, or a share such as 0.1"
        )


def draw_company(
    rng: Generator, *, num_images: int, input_hw: tuple[int, int], mosaic: MosaicConfig | None, mixup: MixupConfig | None
) -> Company:
    """Choose the other images of a sample, if it has any.

    Args:
        rng: where the choices come from.
        num_images: of the data set; any may be chosen, also the sample's own.
        input_hw: (height, width) of the network's input, in pixels.
        mosaic, mixup: how often and how; None: never.
    """
    company = Company()
    if mosaic is not None and rng.random() < mosaic.probability:
        (height, width), (low, high) = input_hw, mosaic.center
        x, y = (round(side * share) for side, share in zip((width, height), rng.uniform(low, high, 2).tolist(), strict=True))
        rects = Rect(0, 0, x, y), Rect(x, 0, width, y), Rect(0, y, x, height), Rect(x, y, width, height)
        tiles = (Tile(rect, zoom) for rect, zoom in zip(rects, rng.uniform(*mosaic.zoom, 4).tolist(), strict=True))
        company = Company(tuple(tiles), tuple(rng.integers(0, num_images, 3).tolist()))
    if mixup is not None and rng.random() < mixup.probability:
        company = company._replace(over=int(rng.integers(0, num_images)), share=float(rng.beta(mixup.alpha, mixup.alpha)))
    return company


def tile_matrix(tile: Tile, input_hw: tuple[int, int]) -> Array:
    """(2, 3) float64: from the input as an image has it alone to the input with the image on its tile, middle to middle."""
    (height, width), (left, top, right, bottom), zoom = input_hw, tile.rect, tile.zoom
    return np.array([[zoom, 0, (left + right - zoom * width) / 2], [0, zoom, (top + bottom - zoom * height) / 2]])


def cut(boxes: Array, rect: Rect, *, min_visible: float) -> tuple[Array, Array]:
    """Boxes as far as they are on a tile.

    Args:
        boxes: (n, 4) xyxy, in input pixels.
        rect: the tile.
        min_visible: a box of which a smaller share of its area is on the tile is dropped, in [0, 1]; so are boxes with nothing on it.

    Returns:
        The kept boxes (m, 4), clipped to the tile, and which they are, (n,) bool.
    """
    corner = np.array([rect.left, rect.top, rect.left, rect.top], np.float64)
    clipped = clip_boxes(boxes - corner, height=rect.bottom - rect.top, width=rect.right - rect.left) + corner
    visible = area(clipped)
    kept = (visible > 0) & (visible >= min_visible * area(boxes))
    return clipped[kept], kept


def draw_holes(rng: Generator, boxes: Array, input_hw: tuple[int, int], config: ErasingConfig) -> list[Rect]:
    """Choose what is erased (Zhong et al. 2017, arXiv:1708.04896, algorithm 1).

    The paper draws again until the rectangle fits; here the aspect is taken from those with which it does.

    Args:
        rng: where the choices come from.
        boxes: (n, 4) xyxy, in input pixels; may reach beyond the input.
        input_hw: (height, width) of the network's input, in pixels.
        config: how often, where and how large.
    """
    height, width = input_hw
    regions = [(0.0, 0.0, float(width), float(height))] if config.of != "objects" else []
    if config.of != "image":
        regions += clip_boxes(boxes, height=height, width=width).tolist()
    holes = (_hole(rng, region, config) for region in regions if rng.random() < config.probability)
    return [hole for hole in holes if hole.left < hole.right and hole.top < hole.bottom]


def _hole(rng: Generator, region: tuple[float, ...], config: ErasingConfig) -> Rect:
    left, top, right, bottom = region
    height, width = bottom - top, right - left
    share, aspect, across, down = rng.uniform(*config.area), rng.uniform(*config.aspect), rng.random(), rng.random()
    if min(height, width) < 1:  # nothing of it is seen
        return Rect(0, 0, 0, 0)
    erased = share * height * width
    aspect = min(max(aspect, erased / width**2), height**2 / erased)
    rows, columns = math.sqrt(erased * aspect), math.sqrt(erased / aspect)
    x, y = left + across * (width - columns), top + down * (height - rows)
    return Rect(round(x), round(y), round(x + columns), round(y + rows))


def _num_last(config: _Late, num_epochs: int) -> int:
    return int(config.off_for_last if config.off_for_last >= 1 else config.off_for_last * num_epochs + 0.5)


def _check_order(name: str, limits: tuple[float, float]) -> None:
    if limits[0] > limits[1]:
        raise ValueError(f"{name}: is from {limits[0]:g} to {limits[1]:g}, expected the smaller number first")
