"""Draw one image of textured shapes on a busy background, and say where they are: pure NumPy, everything from one generator."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Mapping

import numpy as np

from centernet.structures import Array

Generator = np.random.Generator

SMALLEST, LARGEST = 0.15, 0.29  # radius of a shape, as a share of the image's side
MIN_INSIDE = 0.6  # share of a shape's own area that is inside the image
MIN_VISIBLE = 0.6  # share of a shape that later shapes leave uncovered
HUE_SPREAD = 0.1  # either way, of the whole circle: a class has a favourite hue, as real things have; neighbours' ranges touch
VIVIDNESS = 0.6, 1.0  # saturation and value of a shape's first colour
BACKGROUND_COLOR = 0.3  # how much of the background's colour is left beside its grey
_ATTEMPTS = 20


def _disk(u: Array, v: Array) -> Array:
    return np.asarray(np.hypot(u, v) - 1)


def _ring(u: Array, v: Array) -> Array:
    return np.asarray(np.abs(np.hypot(u, v) - 0.74) - 0.26)


def _square(u: Array, v: Array) -> Array:
    return np.asarray(np.maximum(np.abs(u), np.abs(v)) - 0.82)


def _triangle(u: Array, v: Array) -> Array:
    slope = np.sqrt(3) / 2
    return np.asarray(np.maximum(v, np.maximum(slope * u - v / 2, -slope * u - v / 2)) - 0.55)


def _cross(u: Array, v: Array) -> Array:
    u, v = np.abs(u), np.abs(v)
    return np.asarray(np.minimum(np.maximum(u - 1, v - 0.3), np.maximum(v - 1, u - 0.3)))


# Signed distance to the outline, negative inside, in units of the radius; the order is that of the class ids.
OUTLINES: Mapping[str, Callable[[Array, Array], Array]] = {
    "disk": _disk,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
}


def draw_scene(rng: Generator, *, size: int, num_objects: int) -> tuple[Array, Array, Array]:
    """Draw an image with up to `num_objects` shapes; one that finds no free place is left out.

    Args:
        rng: where every choice comes from.
        size: height and width of the image, in pixels.
        num_objects: shapes to place, >= 0.

    Returns:
        The image (size, size, 3) uint8 BGR; boxes (n, 4) int64 xyxy in pixels, the hull of what is inside the image whether
        or not another shape covers it; class ids (n,) int64, positions in `OUTLINES`.
    """
    canvas = _background(rng, size)
    boxes: list[tuple[int, int, int, int]] = []
    class_ids: list[int] = []
    masks: list[Array] = []  # what is still to be seen of each shape
    areas: list[int] = []  # what was to be seen of it when it was drawn
    for _ in range(num_objects):
        class_id = int(rng.integers(len(OUTLINES)))
        placed = _place(rng, class_id, list(zip(masks, areas, strict=True)), size)
        if placed is None:
            continue
        coverage, box = placed
        _paint(rng, canvas, coverage, box, color=_color_of(rng, class_id))
        masks = [mask & (coverage < 0.5) for mask in masks] + [coverage >= 0.5]
        areas.append(int(masks[-1].sum()))
        boxes.append(box)
        class_ids.append(class_id)
    canvas += 4 * rng.standard_normal(canvas.shape, np.float32)
    image = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    return image, np.array(boxes, np.int64).reshape(-1, 4), np.array(class_ids, np.int64)


def _place(rng: Generator, class_id: int, earlier: list[tuple[Array, int]], size: int) -> tuple[Array, tuple[int, int, int, int]] | None:
    """A place where enough of the shape is inside and enough of each earlier one (its mask in sight, its first area) stays in sight."""
    outline = list(OUTLINES.values())[class_id]
    for _ in range(_ATTEMPTS):
        radius = size * SMALLEST * (LARGEST / SMALLEST) ** rng.random()
        center = rng.uniform(0, size, 2)
        coverage = _coverage(outline, center, radius, rng.uniform(-np.pi, np.pi), size)
        inside = coverage >= 0.5
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if not len(rows) or inside.sum() < MIN_INSIDE * _full_area(outline, radius):
            continue
        if all((mask & ~inside).sum() >= MIN_VISIBLE * area for mask, area in earlier):
            return coverage, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return None


def _coverage(outline: Callable[[Array, Array], Array], center: Array, radius: float, angle: float, size: int) -> Array:
    """(size, size) float: how much of each pixel the turned shape covers, 0 to 1."""
    pixels = np.arange(size) + 0.5
    x, y = pixels[None, :] - center[0], pixels[:, None] - center[1]
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return np.clip(0.5 - outline(u / radius, v / radius) * radius, 0, 1)


def _full_area(outline: Callable[[Array, Array], Array], radius: float) -> float:
    """Area of the uncut shape, in square pixels, from a 64x64 raster of its unit square."""
    steps = (np.arange(64) + 0.5) / 32 - 1
    u, v = np.meshgrid(steps * 1.2, steps * 1.2)
    return float((outline(u, v) < 0).mean()) * (2.4 * radius) ** 2


def _paint(rng: Generator, canvas: Array, coverage: Array, box: tuple[int, int, int, int], *, color: Array) -> None:
    """Lay a shape over the canvas, textured in `color` and another near it."""
    left, top, right, bottom = box
    window = slice(max(top - 1, 0), bottom + 1), slice(max(left - 1, 0), right + 1)  # soft edges reach one pixel further
    below = canvas[window]
    second = np.clip(color + rng.uniform(-70, 70, 3), 0, 255)
    blend = _texture(rng, len(canvas))[window][..., None]
    below += coverage[window][..., None] * (color + (second - color) * blend - below)


def _color_of(rng: Generator, class_id: int) -> Array:
    hue = (class_id / len(OUTLINES) + rng.uniform(-HUE_SPREAD, HUE_SPREAD)) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, rng.uniform(*VIVIDNESS), rng.uniform(*VIVIDNESS))
    return 255 * np.array([blue, green, red])


def _texture(rng: Generator, size: int) -> Array:
    """(size, size) float in [0, 1]: plain, stripes, checks, clouds or a gradient."""
    angle, period, phase = rng.uniform(0, np.pi), rng.uniform(5, 14), rng.uniform(0, 2 * np.pi)
    pixels = np.arange(size)
    along = (np.cos(angle) * pixels[None, :] + np.sin(angle) * pixels[:, None]) * 2 * np.pi / period + phase
    across = (np.cos(angle) * pixels[:, None] - np.sin(angle) * pixels[None, :]) * 2 * np.pi / period
    kind = int(rng.integers(5))
    if kind == 0:
        return np.zeros((size, size))
    if kind == 1:
        return np.asarray(np.sin(along) > 0, np.float64)
    if kind == 2:
        return np.asarray(np.sin(along) * np.sin(across) > 0, np.float64)
    if kind == 3:
        return _clouds(rng, size, 24)
    return np.asarray((np.sin(along / 8) + 1) / 2)


def _background(rng: Generator, size: int) -> Array:
    """(size, size, 3) float: clouds of muted colour with faint strokes across them."""
    contrast, base = rng.uniform(60, 150), rng.uniform(20, 110, 3)
    fine = (_clouds(rng, size, size // 4) - 0.5) * rng.uniform(15, 50)
    canvas = np.stack([_clouds(rng, size, 3) * contrast + base[channel] + fine for channel in range(3)], axis=-1)
    pixels = np.arange(size) + 0.5
    for _ in range(int(rng.integers(2, 7))):
        angle, offset, half_width = rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5) * size, rng.uniform(0.5, 2.5)
        distance = np.cos(angle) * (pixels[None, :] - size / 2) + np.sin(angle) * (pixels[:, None] - size / 2) - offset
        rows, columns = np.nonzero(np.abs(distance) < half_width + 0.5)
        cover = np.minimum(half_width + 0.5 - np.abs(distance[rows, columns]), 1)
        canvas[rows, columns] += cover[:, None] * rng.uniform(-60, 60, 3)
    grey = canvas.mean(axis=-1, keepdims=True)
    return np.asarray(grey + BACKGROUND_COLOR * (canvas - grey))


def _clouds(rng: Generator, size: int, cells: int) -> Array:
    """(size, size) float in [0, 1]: random values on a grid of `cells` per side, bilinear between them."""
    cells = max(2, cells)
    grid = rng.random((cells + 1, cells + 1))
    at = np.arange(size) * (cells / size)
    low, share = at.astype(np.int64), at - np.floor(at)
    rows = grid[low] * (1 - share)[:, None] + grid[low + 1] * share[:, None]
    return np.asarray(rows[:, low] * (1 - share) + rows[:, low + 1] * share)
