"""A CSV file with a line an object, whatever its columns are called: Roboflow's, RetinaNet's, Kaggle's, OpenImages'."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from centernet.data.foreign.builder import TableBuilder
from centernet.data.foreign.image_index import ImageIndex
from centernet.data.foreign.table_parts import with_sorted_categories
from centernet.data.tables import AnnotationTable
from centernet.errors import DataError
from centernet.imaging.glance import glance

# What columns are called, without capitals, blanks and underscores; the first that is there counts.
_FILE = ("filename", "file", "imagepath", "image", "imagename", "imageid", "img", "imgname", "path", "externalid", "name")
_CLASS = ("class", "label", "classname", "labelname", "category", "categoryname", "classid", "categoryid", "type")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("bboxxmin", "bboxymin", "bboxxmax", "bboxymax"),
    ("x0", "y0", "x1", "y1"),
    ("bboxx1", "bboxy1", "bboxx2", "bboxy2"),
)
_SIZES = (
    ("bboxx", "bboxy", "bboxwidth", "bboxheight"),
    ("bboxx", "bboxy", "bboxw", "bboxh"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
    ("x", "y", "width", "height"),
)
_LIST = ("bbox", "box", "boundingbox")  # [x, y, width, height], as Kaggle's have it
ONLY_CLASS = "object"  # where no column names one
HEADLESS = (_FILE[0], "x1", "y1", "x2", "y2", _CLASS[0])  # RetinaNet's lines, which have no header


def read_csv(root: Path, file: str, images: ImageIndex) -> AnnotationTable:
    """The objects of a CSV file; a line without numbers is an image without objects.

    Args:
        file: relative to `root`.

    Raises:
        DataError: the columns are not recognised, numbers are missing, or images are not there; the first few are named.
    """
    path = root / file
    rows, fields = _rows(path)
    columns = _columns(fields, path)
    builder = TableBuilder(str(path))
    boxes: list[tuple[int, str, list[float]]] = []
    for number, row in rows:
        where, said = f"{path}:{number}", (row.get(columns["file"]) or "").strip()
        name = images.find(said, near=file)
        if name is None:
            builder.mistake(f"{where}: the image '{said}' is not there")
            continue
        image = builder.image(name)
        category = (row.get(columns["class"]) or "").strip() if "class" in columns else ONLY_CLASS
        try:
            box = _box(row, columns)
        except ValueError as error:
            builder.mistake(f"{where}: {error}")
            continue
        if box is not None:
            boxes.append((image, category or ONLY_CLASS, box))
    _add(builder, boxes, root)
    return with_sorted_categories(builder.table())


def is_boxes(path: Path) -> bool:
    """Whether a CSV file has boxes, by its first lines."""
    try:
        rows, fields = _rows(path, most=3)
        return bool(_columns(fields, path)) and bool(rows)
    except (DataError, OSError):
        return False


def _rows(path: Path, *, most: int | None = None) -> tuple[list[tuple[int, Mapping[str, str | None]]], Sequence[str]]:
    """(line number, field → text) of the rows, and the fields' names; `most`: so many rows are enough."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            delimiter = max(",;\t", key=first.count)
            cells = [cell.strip() for cell in first.rstrip("\r\n").split(delimiter)]
            is_headless = len(cells) == len(HEADLESS) and (all(_is_number(cell) for cell in cells[1:5]) or not any(cells[1:]))
            file.seek(0)
            reader = csv.DictReader(file, fieldnames=HEADLESS if is_headless else None, delimiter=delimiter, skipinitialspace=True)
            rows: list[tuple[int, Mapping[str, str | None]]] = []
            for row in reader:
                rows.append((reader.line_num, row))
                if most is not None and len(rows) >= most:
                    break
            return rows, list(reader.fieldnames or [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file: {error}") from error


def _columns(fields: Sequence[str], path: Path) -> dict[str, str]:
    """What is meant → the name of the column."""
    known = {field.lower().replace(" ", "").replace("_", "").replace("-", ""): field for field in fields if field}
    found = {}
    for key, names in (("file", _FILE), ("class", _CLASS)):
        name = next((known[name] for name in names if name in known), None)
        if name is not None:
            found[key] = name
    for kind, groups in (("corner", _CORNERS), ("size", _SIZES)):
        group = next((group for group in groups if all(name in known for name in group)), None)
        if group is not None and not any(f"{other}0" in found for other in ("corner", "size")):
            found |= {f"{kind}{i}": known[name] for i, name in enumerate(group)}
    if not any(f"{kind}0" in found for kind in ("corner", "size")):
        name = next((known[name] for name in _LIST if name in known), None)
        if name is not None:
            found["list"] = name
    if "file" not in found or not {"corner0", "size0", "list"} & set(found):
        raise DataError(f"{path}: its columns are not recognised: {', '.join(fields)}; expected filename, class, xmin, ymin, xmax, ymax")
    return found


def _box(row: Mapping[str, str | None], columns: Mapping[str, str]) -> list[float] | None:
    """xyxy; None where the line has no box."""
    if "list" in columns:
        text = (row.get(columns["list"]) or "").strip()
        if not text:
            return None
        values = json.loads(text.replace("(", "[").replace(")", "]"))
        if not isinstance(values, list) or len(values) != 4:
            raise ValueError(f"expected [x, y, width, height], found '{text[:60]}'")
        x, y, width, height = map(float, values)
        return [x, y, x + width, y + height]
    kind = "corner" if "corner0" in columns else "size"
    texts = [(row.get(columns[f"{kind}{i}"]) or "").strip() for i in range(4)]
    if not any(texts):
        return None
    if not all(map(_is_number, texts)):
        raise ValueError(f"expected four numbers, found {', '.join(texts)}")
    a, b, c, d = map(float, texts)
    return [a, b, c, d] if kind == "corner" else [a, b, a + c, b + d]


def _add(builder: TableBuilder, boxes: Sequence[tuple[int, str, list[float]]], root: Path) -> None:
    """The objects; numbers that are all at most 1 are fractions of the images."""
    is_share = bool(boxes) and max(max(box) for _, _, box in boxes) <= 1
    sizes: dict[int, tuple[int, int]] = {}
    names = builder.file_names() if is_share else []
    if is_share:
        builder.notes.append("the numbers are at most 1, so they were taken for fractions of the image")
    for image, category, box in boxes:
        if is_share:
            if image not in sizes:
                sizes[image] = glance(root / names[image]).size
            height, width = sizes[image]
            box = [box[0] * width, box[1] * height, box[2] * width, box[3] * height]
        builder.object(image, category, box)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
