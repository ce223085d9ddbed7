"""Pictures of what a network says at every place: numbers as colours over the image, with a scale to read them off."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from centernet.imaging.draw import Theme, contact_sheet
from centernet.imaging.text import line_height, put_text, text_width
from centernet.structures import Array

FAINT = 0.15  # how much colour covers the image where the weight is 0
RELEVANT = 0.1  # weight from which a place counts for the range of colours


def number_maps(
    image: Array, maps: Array, captions: Sequence[str], *, weight: Array | None = None, title: str = "", theme: Theme = "white"
) -> Array:
    """Maps of numbers side by side, each as colours over the image with its own scale below.

    Args:
        image: (H, W, 3) uint8, BGR.
        maps: (n, h, w), any finite numbers; stretched over the image.
        captions: n lines, what the numbers are and their unit.
        weight: (h, w) in [0, 1], how much a place matters: the colour is faint where it is 0. Default 1 everywhere.
        title: over the whole picture.
        theme: of the picture.

    Returns:
        (height, width, 3) uint8, BGR.
    """
    weight = np.ones(maps.shape[1:], np.float32) if weight is None else np.clip(weight, 0, 1).astype(np.float32)
    relevant = weight >= min(RELEVANT, float(weight.max()))
    row = [(caption, _one_map(image, values, weight, relevant, theme)) for caption, values in zip(captions, maps, strict=True)]
    return contact_sheet([row], tile_height=row[0][1].shape[0], title=title, theme=theme)


def _one_map(image: Array, values: Array, weight: Array, relevant: Array, theme: Theme) -> Array:
    height, width = image.shape[:2]
    low, high = float(values[relevant].min()), float(values[relevant].max())
    level = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    # Levels, not colours, are interpolated: a mixture of two colours of the scale is none of its colours.
    levels = cv2.resize(level.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    cover = FAINT + (1 - FAINT) * np.sqrt(cv2.resize(weight, (width, height)))[..., None]
    paper = 255 if theme == "white" else 24
    grey = np.repeat(0.45 * image.mean(axis=2, keepdims=True) + 0.55 * paper, 3, axis=2)
    colored = np.rint(grey * (1 - cover) + _colors(levels) * cover).astype(np.uint8)
    return np.concatenate([colored, _scale(low, high, width, theme)])


def _scale(low: float, high: float, width: int, theme: Theme) -> Array:
    """All colours from left to right, the numbers at both ends and in the middle below."""
    size = max(11, round(width / 24))
    ink, paper = ((32, 32, 32), 255) if theme == "white" else ((235, 235, 235), 24)
    bar = np.full((size + line_height(size) + 4, width, 3), paper, np.uint8)
    bar[4 : size + 2] = np.rint(_colors(np.linspace(0, 1, width, dtype=np.float32)[None]))
    for place, number in ((0.0, low), (0.5, (low + high) / 2), (1.0, high)):
        text = f"{number:.3g}"
        put_text(bar, text, (round(place * (width - text_width(text, size))), size + 4), size=size, color=ink)
    return bar


def _colors(levels: Array) -> Array:
    """Levels (h, w) in [0, 1] as colours (h, w, 3) from dark blue to yellow, which get lighter evenly."""
    colors: Array = cv2.applyColorMap(np.rint(levels * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return colors
