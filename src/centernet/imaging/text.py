"""Text in pictures: smooth at any size, in most alphabets (OpenCV's own letters are line drawings of ASCII)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from centernet.structures import Array

Color = tuple[int, int, int]


def line_height(size: int) -> int:
    """Pixels from the top of the highest letter to the bottom of the lowest, at a font size in pixels."""
    ascent, descent = _font(size).getmetrics()
    return ascent + descent


def text_width(text: str, size: int) -> int:
    """Pixels that a line of text takes from left to right, at a font size in pixels."""
    return _mask(text, size).shape[1]


def shortened(text: str, size: int, *, width: int) -> str:
    """The text, or as much of it as fits into `width` pixels with an ellipsis at the end."""
    if text_width(text, size) <= width:
        return text
    for end in range(len(text) - 1, 0, -1):
        candidate = text[:end].rstrip() + "…"
        if text_width(candidate, size) <= width:
            return candidate
    return ""


def put_text(image: Array, text: str, corner: tuple[int, int], *, size: int, color: Color) -> None:
    """Write one line, in place; what lies outside the image is cut off.

    Args:
        image: (H, W, 3) uint8, BGR; changed in place.
        text: one line.
        corner: (x, y) of the line's upper left corner, in pixels.
        size: of the font, in pixels, > 0.
        color: BGR.
    """
    mask = _mask(text, size)
    x, y = corner
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + mask.shape[1], image.shape[1]), min(y + mask.shape[0], image.shape[0])
    if left >= right or top >= bottom:
        return
    cover = mask[top - y : bottom - y, left - x : right - x, None].astype(np.float32) / 255
    window = image[top:bottom, left:right]
    window[...] = np.rint(window * (1 - cover) + np.array(color, np.float32) * cover)


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Matplotlib, which draws the curves, brings DejaVu Sans: Latin, Greek, Cyrillic, Arabic and more in one file.
    with as_file(files("matplotlib") / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf") as path:
        return ImageFont.truetype(str(path), size)


@lru_cache(maxsize=1024)
def _mask(text: str, size: int) -> Array:
    """How much of each pixel the letters cover: (line_height, width) uint8. A video repeats its labels, so they are kept."""
    font = _font(size)
    picture = Image.new("L", (max(1, round(font.getlength(text))), line_height(size)))
    ImageDraw.Draw(picture).text((0, 0), text, font=font, fill=255)
    mask = np.asarray(picture)
    mask.flags.writeable = False
    return mask
