"""Pictures for people: boxes with names and scores, heatmaps over images, contact sheets. Never needs a display."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from centernet.imaging.text import Color, line_height, put_text, shortened, text_width
from centernet.structures import Array, Detections

Theme = Literal["white", "black"]

_PAPER: dict[str, Color] = {"white": (255, 255, 255), "black": (24, 24, 24)}
_INK: dict[str, Color] = {"white": (32, 32, 32), "black": (235, 235, 235)}

_RIM: Color = (20, 20, 20)

# The first classes' colours, RGB: bright, far apart, and told apart in print and by most colour-blind eyes by lightness as well.
_PALETTE = ["ff4b3e", "1fbf5c", "2f8bff", "ffc61a", "b45cff", "ff8a1f", "19c8d8", "ff5fb0", "9bd32c", "e0b0ff", "c98a4b", "11a88a"]
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def class_color(class_id: int) -> Color:
    """The colour of a class in every picture, BGR in [0, 255]; the same for the same class id."""
    if class_id < len(_PALETTE):
        red, green, blue = bytes.fromhex(_PALETTE[class_id])
        return blue, green, red
    value = (1.0, 0.8, 0.65)[class_id % 3]
    red_, green_, blue_ = colorsys.hsv_to_rgb(class_id * _GOLDEN_RATIO % 1, 0.72, value)
    return round(255 * blue_), round(255 * green_), round(255 * red_)


def draw_detections(
    image: Array,
    detections: Detections,
    class_names: Sequence[str] = (),
    *,
    threshold: float = 0.0,
    height: int | None = None,
    track_ids: Array | None = None,
) -> Array:
    """Detections over their image: a box each, with class name and score; the best on top.

    Args:
        image: (H, W, 3) uint8, BGR.
        detections: boxes in pixels of `image`; what lies outside is cut off.
        class_names: by class id; default the detections' own, else the numbers.
        threshold: the lowest score shown, in [0, 1].
        height: draw on a copy resized to so many rows, with lines and letters sharp at that size; default the image's.
        track_ids: (n,) integers, the numbers of objects in a video, 0 for none: each number has its own colour.

    Returns:
        (H, W, 3) uint8 BGR, or (height, about W * height / H, 3); a new array.
    """
    ids = np.zeros(len(detections), np.int64) if track_ids is None else np.asarray(track_ids)
    order = np.argsort(-detections.scores, kind="stable")
    order = order[detections.scores[order] >= threshold]
    shown, ids = detections.select(order), ids[order]
    names = class_names or detections.class_names
    labels = [
        f"{_name(names, class_id)} {f'#{track_id} ' if track_id else ''}{score:.2f}"
        for class_id, score, track_id in zip(shown.class_ids, shown.scores, ids, strict=True)
    ]
    color_ids = shown.class_ids if track_ids is None else np.where(ids > 0, ids, shown.class_ids)
    return _draw_labelled(image, shown.boxes, color_ids, labels, height)


def draw_boxes(image: Array, boxes: Array, class_ids: Array, class_names: Sequence[str] = (), *, height: int | None = None) -> Array:
    """Annotated objects over their image: a box each, with class name; the first on top.

    Args:
        image: (H, W, 3) uint8, BGR.
        boxes: (n, 4) xyxy, in pixels of `image`; what lies outside is cut off.
        class_ids: (n,) integers.
        class_names: by class id; the numbers where empty.
        height: draw on a copy resized to so many rows; default the image's.

    Returns:
        (H, W, 3) uint8 BGR, or (height, about W * height / H, 3); a new array.
    """
    return _draw_labelled(image, boxes, class_ids, [_name(class_names, class_id) for class_id in class_ids], height)


def heatmap_overlay(image: Array, heatmap: Array, *, class_id: int = 0, theme: Theme = "white") -> Array:
    """A heatmap glowing in its class's colour over the faded image.

    Args:
        image: (H, W, 3) uint8, BGR.
        heatmap: (h, w) of one class, or (C, h, w) of all classes; floating, in [0, 1]; stretched over the image.
        class_id: whose colour a (h, w) heatmap gets.
        theme: what the image fades into.

    Returns:
        (H, W, 3) uint8, BGR; a new array.
    """
    height, width = image.shape[:2]
    planes = heatmap[None] if heatmap.ndim == 2 else heatmap
    colors = np.array([class_color(class_id + i) for i in range(len(planes))], np.float32)
    heat = cv2.resize(np.clip(planes.max(axis=0), 0, 1).astype(np.float32), (width, height))[..., None]
    share = np.clip(planes, 1e-6, 1).astype(np.float32) ** 4  # of a class in a cell's colour; where two are equally hot, their mixture
    mixed = np.tensordot(share / share.sum(axis=0), colors, axes=(0, 0))
    mixed = cv2.resize(mixed, (width, height))
    faded = 0.45 * image + 0.55 * np.array(_PAPER[theme], np.float32)
    # The square root lets weak responses, which one looks for in such a picture, show.
    cover = np.sqrt(heat)
    overlay: Array = np.rint(faded * (1 - cover) + mixed * cover).astype(np.uint8)
    return overlay


def contact_sheet(rows: Sequence[Sequence[tuple[str, Array]]], *, tile_height: int = 256, title: str = "", theme: Theme = "white") -> Array:
    """Captioned pictures in a grid, such as ground truth beside detections.

    Args:
        rows: (caption, (H, W, 3) uint8 BGR image) of each tile; rows may differ in length.
        tile_height: to which every image is resized, in pixels; > 0.
        title: over the whole sheet.
        theme: of the sheet.

    Returns:
        (height, width, 3) uint8, BGR.
    """
    margin, size = max(tile_height // 20, 6), max(round(tile_height / 17), 11)
    caption_height = line_height(size) + margin // 2
    tiles = [[(caption, _resized(image, tile_height)) for caption, image in row] for row in rows]
    columns = max((len(row) for row in tiles), default=0)
    widths = [max((row[c][1].shape[1] for row in tiles if c < len(row)), default=0) for c in range(columns)]
    title_size = round(1.5 * size)
    top = margin + (line_height(title_size) + margin if title else 0)
    width = max(sum(widths) + margin * (columns + 1), text_width(title, title_size) + 2 * margin if title else 0)
    height = top + len(tiles) * (caption_height + tile_height + margin)
    sheet = np.full((height, width, 3), _PAPER[theme], np.uint8)
    put_text(sheet, title, (margin, margin), size=title_size, color=_INK[theme])
    for r, row in enumerate(tiles):
        y = top + r * (caption_height + tile_height + margin)
        for c, (caption, image) in enumerate(row):
            x = margin + sum(widths[:c]) + margin * c
            put_text(sheet, shortened(caption, size, width=widths[c]), (x, y), size=size, color=_INK[theme])
            sheet[y + caption_height : y + caption_height + tile_height, x : x + image.shape[1]] = image
    return sheet


def _name(class_names: Sequence[str], class_id: int) -> str:
    return class_names[class_id] if 0 <= class_id < len(class_names) else str(class_id)


def _resized(image: Array, height: int) -> Array:
    if image.shape[0] == height:
        return image.copy()
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC if height > image.shape[0] else cv2.INTER_AREA)


def _draw_labelled(image: Array, boxes: Array, color_ids: Array, labels: Sequence[str], height: int | None) -> Array:
    """Boxes and labels, those that come first on top; boxes wholly outside the image are left out."""
    canvas = image.copy() if height is None else _resized(image, height)
    rows, columns = canvas.shape[:2]
    zoom = np.array([columns / image.shape[1], rows / image.shape[0]] * 2)
    corners = np.asarray(boxes, np.float64).reshape(-1, 4) * zoom
    inside = (corners[:, 2:] > 0).all(axis=1) & (corners[:, :2] < [columns, rows]).all(axis=1)
    corners = np.clip(np.rint(corners), 0, [columns - 1, rows - 1] * 2).astype(int)[inside]
    colors = [class_color(int(color_id)) for color_id in np.asarray(color_ids)[inside]]
    labels = [label for label, keep in zip(labels, inside, strict=True) if keep]
    side = math.sqrt(rows * columns)
    thickness, size = max(1, round(0.0035 * side + 0.5)), max(10, round(0.019 * side + 4.5))
    for (x1, y1, x2, y2), color in reversed(list(zip(corners.tolist(), colors, strict=True))):
        if thickness > 1:  # a dark rim keeps the line visible on a background of its own colour
            cv2.rectangle(canvas, (x1, y1), (x2, y2), _RIM, thickness + 2)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), color, thickness)
    outer = corners - np.array([thickness // 2, thickness // 2, 0, 0])
    places = _label_places(outer, [text_width(label, size) for label in labels], size, (columns, rows))
    for (left, top, right, bottom), label, color in reversed(list(zip(places, labels, colors, strict=True))):
        cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), color, cv2.FILLED)
        put_text(canvas, label, (left + _label_padding(size), top), size=size, color=_ink_on(color))
    return canvas


def _ink_on(color: Color) -> Color:
    """Black or white, whichever can be read on a label of that colour."""
    luminance = 0.114 * color[0] + 0.587 * color[1] + 0.299 * color[2]
    return (0, 0, 0) if luminance > 130 else (255, 255, 255)


def _label_padding(size: int) -> int:
    return max(2, size // 5)


def _label_places(boxes: Array, widths: Sequence[int], size: int, canvas_wh: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """(left, top, right, bottom) of each label: above its box, inside a large one, or below; not over an earlier one if possible."""
    places: list[tuple[int, int, int, int]] = []
    height = line_height(size)
    for (x1, y1, _, y2), text in zip(boxes.tolist(), widths, strict=True):
        width = text + 2 * _label_padding(size)
        left = max(0, min(x1, canvas_wh[0] - width))
        wanted = (y1 - height, y1, y2, y2 - height) if y2 - y1 >= 3 * height else (y1 - height, y2, y1)
        tops = [top for top in wanted if 0 <= top <= canvas_wh[1] - height] or [0]
        options = [(left, top, left + width, top + height) for top in tops]
        places.append(next((place for place in options if not any(_overlap(place, other) for other in places)), options[0]))
    return places


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
