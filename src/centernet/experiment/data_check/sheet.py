"""Pictures of what is wrong: a row for each problem, each tile the part of an image that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from centernet.data.datasets.base import DetectionDataset
from centernet.data.inspection.problems import Offender, Problem
from centernet.errors import DataError
from centernet.imaging import draw
from centernet.imaging.io import write_image
from centernet.structures import Array

TILE_HEIGHT, WIDEST = 260, 420  # pixels
IN_A_ROW, ROWS = 4, 5  # tiles, and rows of a sheet
AROUND = 5.0  # times the box that a tile shows
SMALLEST = 120  # pixels of the image that a tile shows at least
GREY = 128  # where there is no image


def draw_offenders(problems: Sequence[Problem], datasets: Mapping[str, DetectionDataset], folder: Path) -> list[Path]:
    """Write `offenders_N.png`; images that cannot be read are left out.

    Raises:
        OutputError: a picture cannot be written.
    """
    rows = []
    for problem in problems:
        tiles = []
        for offender in problem.offenders:
            tile = _tile(offender, datasets[offender.split])
            if tile is not None:
                name = Path(datasets[offender.split].name(offender.image)).name
                tiles.append((f"{problem.code} ({offender.split}): {name}", tile))
            if len(tiles) == IN_A_ROW:
                break
        if tiles:
            rows.append(tiles)
    files: list[Path] = []
    for first in range(0, len(rows), ROWS):
        files.append(folder / f"offenders_{len(files) + 1}.png")
        sheet = draw.contact_sheet(rows[first : first + ROWS], tile_height=TILE_HEIGHT, title="What is wrong with the data")
        write_image(files[-1], sheet)
    return files


def _tile(offender: Offender, dataset: DetectionDataset) -> Array | None:
    try:
        image = dataset.picture(offender.image).decode()
    except DataError:
        return None
    rows = list(offender.objects)
    boxes, class_ids = dataset.annotations.boxes[rows], dataset.annotations.class_ids[rows]
    left, top, right, bottom = _window(image.shape[:2], boxes)
    view = _cut(image, left, top, right, bottom)
    # A box without an area is drawn as a line: it is what the tile is to show.
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    shown = np.concatenate([low, np.maximum(high, low + 1)], axis=1) - [left, top, left, top]
    return draw.draw_boxes(view, shown, class_ids, dataset.classes.names, height=TILE_HEIGHT)


def _window(size: tuple[int, ...], boxes: Array) -> tuple[int, int, int, int]:
    """The part to show: the whole image, or where its boxes are small or outside, what is around the first of them."""
    height, width = size
    whole = 0, 0, width, height
    if not len(boxes):
        return whole
    x1, y1, x2, y2 = boxes[0]
    center, side = ((x1 + x2) / 2, (y1 + y2) / 2), AROUND * max(abs(x2 - x1), abs(y2 - y1))
    is_inside = 0 <= center[0] <= width and 0 <= center[1] <= height
    if not is_inside:  # the image and the box
        far = 3 * max(height, width)  # numbers that are no pixels would make the picture endless
        low, high = np.clip([min(x1, x2), min(y1, y2)], -far, 0), np.clip([max(x1, x2), max(y1, y2)], [width, height], far)
        return int(low[0]), int(low[1]), int(high[0]) + 1, int(high[1]) + 1
    tall = max(side, SMALLEST)
    if tall >= height:
        return whole
    wide = min(tall * min(width / height, WIDEST / TILE_HEIGHT), width)
    left, top = np.clip(center[0] - wide / 2, 0, width - wide), np.clip(center[1] - tall / 2, 0, height - tall)
    return int(left), int(top), int(left + wide), int(top + tall)


def _cut(image: Array, left: int, top: int, right: int, bottom: int) -> Array:
    """A part of an image, grey where that goes beyond it."""
    view = np.full((bottom - top, right - left, 3), GREY, np.uint8)
    height, width = image.shape[:2]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    view[y1 - top : y2 - top, x1 - left : x2 - left] = image[y1:y2, x1:x2]
    return view
