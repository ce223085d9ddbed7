"""YOLO's text files: a line an object, class number and box as fractions of the image; or a polygon, of which the hull is taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from centernet.data.foreign.builder import TableBuilder
from centernet.data.tables import AnnotationTable
from centernet.errors import DataError
from centernet.imaging.glance import glance

FARTHEST = 2.0  # a box that reaches further out of its image has numbers that are pixels


def read_yolo(root: Path, labels: Mapping[str, str | None], class_names: Sequence[str] | None, *, source: str) -> AnnotationTable:
    """The objects of images with a text file each.

    Args:
        labels: image → its text file, both relative to `root`; None: it has none, which YOLO takes for an image without objects.
        class_names: by class number; None: the numbers themselves.

    Raises:
        DataError: lines that are not of this kind, classes without a name, or broken images; the first few are named.
    """
    builder = TableBuilder(source)
    builder.declare(class_names or [])
    if class_names is None:
        builder.notes.append("no file names the classes, so their numbers are their names; a classes.txt with a name a line would")
    with ThreadPoolExecutor(8) as threads:
        sizes = list(threads.map(lambda name: _size(root / name, builder), labels))
    highest = -1
    for (image, label), size in zip(labels.items(), sizes, strict=True):
        number = builder.image(image, size)
        for class_id, box in _objects(root / label, builder) if label is not None else []:
            if class_names is not None and class_id >= len(class_names):
                builder.mistake(f"{root / str(label)}: class {class_id}, but there are names for 0 to {len(class_names) - 1}")
                continue
            if class_names is None:  # numbers in order, also those that do not occur
                builder.declare([str(i) for i in range(highest + 1, class_id + 1)])
                highest = max(highest, class_id)
            height, width = size
            pixels = [box[0] * width, box[1] * height, box[2] * width, box[3] * height]
            builder.object(number, class_names[class_id] if class_names is not None else str(class_id), pixels)
    return builder.table()


def is_label(text: str) -> bool:
    """Whether a text could be such a file: nothing, or lines of numbers that begin with a whole one."""
    lines = [line.split() for line in text.splitlines()[:5] if line.strip()]
    try:
        return all(len(words) >= 5 and float(words[0]).is_integer() and all(map(math.isfinite, map(float, words))) for words in lines)
    except ValueError:
        return False


def _size(path: Path, builder: TableBuilder) -> tuple[int, int]:
    try:
        return glance(path).size
    except DataError as error:
        builder.mistake(str(error))
        return 1, 1


def _objects(path: Path, builder: TableBuilder) -> list[tuple[int, list[float]]]:
    """(class, xyxy in fractions) of each line; mistakes go to the builder."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        builder.mistake(f"{path}: cannot be read: {error}")
        return []
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(_parsed(line))
        except ValueError as error:
            builder.mistake(f"{path}:{number}: {error}")
    return found


def _parsed(line: str) -> tuple[int, list[float]]:
    words = line.replace(",", " ").split()
    try:
        class_id, *values = (float(word) for word in words)
    except ValueError:
        raise ValueError(f"expected numbers, found '{line.strip()[:60]}'") from None
    if not class_id.is_integer() or class_id < 0 or not all(map(math.isfinite, values)):
        raise ValueError(f"expected a class number from 0 on and finite numbers, found '{line.strip()[:60]}'")
    if len(values) in (4, 5):  # a fifth is the score of a detection
        x, y, width, height = values[:4]
        box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    elif len(values) >= 6 and len(values) % 2 == 0:
        box = [min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])]
    else:
        raise ValueError(f"expected 'class x y width height' or a polygon, found {len(words)} numbers")
    if max(box) > FARTHEST or min(box) < 1 - FARTHEST:
        raise ValueError(f"expected fractions of the image in [0, 1], found '{line.strip()[:60]}'")
    return int(class_id), box
