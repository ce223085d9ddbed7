"""Read a COCO-format annotation file into an `AnnotationTable`, checking it on the way."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from centernet.data import cache, json_stream
from centernet.data.tables import AnnotationTable
from centernet.errors import DataError
from centernet.geometry import boxes as box_geometry
from centernet.structures import Array

LISTS = ("images", "annotations", "categories")
_UNKNOWN = float("nan")
CACHE_ABOVE_BYTES = 4_000_000  # a smaller file is parsed faster than a cache of it is looked up and checked


def read_coco_json(path: Path) -> AnnotationTable:
    """The content of a COCO-format file; large files are parsed once and then come from the cache.

    Boxes become xyxy, pixels, as annotated (not clipped); the order of objects inside an image is the file's. An object's
    `ignore` or `difficult` marks it difficult. Image sizes, areas, `iscrowd` and annotation ids may be missing.

    Raises:
        DataError: missing or broken file; a missing or mistyped field (named with the entry); an image id that occurs
            twice; an annotation whose image or category is not declared; a box that is not finite.
    """
    if not path.is_file():
        raise DataError(f"{path}: the annotation file does not exist; check --data_dir and the paths in the section data.dataset")
    if path.stat().st_size < CACHE_ABOVE_BYTES:
        return _parse(path)
    return cache.cached_table(str(path), [path], lambda: _parse(path))


def _parse(path: Path) -> AnnotationTable:
    images, objects, categories = _Images(path), _Objects(path), _Categories(path)
    readers: dict[str, _Images | _Objects | _Categories] = {"images": images, "annotations": objects, "categories": categories}
    seen = set()
    for key, entry in json_stream.iterate(path, lists=LISTS):
        if key in readers and (entry is not None or key in seen):
            if not isinstance(entry, dict):
                raise DataError(f"{path}: an entry of '{key}' is not an object: found {str(entry)[:60]!r}")
            readers[key].add(entry)
        seen.add(key)
    missing = [key for key in LISTS if key not in seen]
    if missing:
        raise DataError(f"{path}: not a COCO-format annotation file: '{missing[0]}' is missing; found keys {sorted(seen)}")
    return _assemble(path, images, objects, categories)


def _assemble(path: Path, images: _Images, objects: _Objects, categories: _Categories) -> AnnotationTable:
    image_ids = np.frombuffer(images.ids, np.int64)
    image_index = objects.positions(np.frombuffer(objects.image_ids, np.int64), image_ids, "image id", "images")
    category_ids, names = categories.table()
    category_of = objects.positions(np.frombuffer(objects.category_ids, np.int64), category_ids, "category id", "categories")
    boxes_xywh = np.frombuffer(objects.boxes, np.float64).reshape(-1, 4)
    objects.check_finite(boxes_xywh)
    areas = np.frombuffer(objects.areas, np.float64)
    areas = np.where(np.isnan(areas), boxes_xywh[:, 2] * boxes_xywh[:, 3], areas)
    order = np.argsort(image_index, kind="stable")
    return AnnotationTable(
        source=str(path),
        image_ids=image_ids,
        image_sizes=np.frombuffer(images.sizes, np.int32).reshape(-1, 2),
        file_names=images.file_names,
        image_index=image_index[order],
        boxes=box_geometry.xywh_to_xyxy(boxes_xywh[order]),
        category_of=category_of[order],
        areas=areas[order],
        is_crowd=np.frombuffer(objects.crowd, np.bool_)[order],
        is_difficult=np.frombuffer(objects.difficult, np.bool_)[order],
        category_ids=category_ids,
        category_names=names,
        notes=objects.notes(boxes_xywh),
    )


class _Images:
    """Columns of the `images` list; ids are checked to be unique as they come."""

    def __init__(self, path: Path) -> None:
        self.path, self.ids, self.sizes = path, array("q"), array("i")
        self.file_names: list[str] = []
        self.known: set[int] = set()

    def add(self, entry: Mapping[str, object]) -> None:
        where = f"{self.path}: images[{len(self.ids)}]"
        image_id, name = _integer(entry, "id", where), _text(entry, "file_name", where)
        if image_id in self.known:
            raise DataError(f"{where}: image id {image_id} occurs twice; every image needs an id of its own")
        self.known.add(image_id)
        self.ids.append(image_id)
        self.file_names.append(name)
        for side in ("height", "width"):
            self.sizes.append(0 if entry.get(side) is None else _integer(entry, side, where))


class _Objects:
    """Columns of the `annotations` list, in the file's order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ids, self.image_ids, self.category_ids = array("q"), array("q"), array("q")
        self.boxes, self.areas = array("d"), array("d")
        self.crowd, self.difficult = array("b"), array("b")

    def add(self, entry: Mapping[str, object]) -> None:
        number = len(self.ids)
        where = f"{self.path}: annotations[{number}] (id {entry.get('id', 'none')})"
        box, area = entry.get("bbox"), entry.get("area")
        if not isinstance(box, list) or len(box) != 4:
            raise DataError(f"{where}: 'bbox' must be [x, y, width, height], found {box}")
        try:
            self.boxes.extend(box)
            self.areas.append(_UNKNOWN if area is None else area)  # type: ignore[arg-type]
        except TypeError as error:
            raise DataError(f"{where}: 'bbox' and 'area' must be numbers, found {box} and {area}") from error
        self.ids.append(_integer(entry, "id", where) if entry.get("id") is not None else -1 - number)
        self.image_ids.append(_integer(entry, "image_id", where))
        self.category_ids.append(_integer(entry, "category_id", where))
        self.crowd.append(bool(entry.get("iscrowd")))
        self.difficult.append(bool(entry.get("ignore") or entry.get("difficult")))

    def positions(self, wanted: Array, declared: Array, what: str, section: str) -> Array:
        """Where each object's id is in the declared ones, as (M,) int32; DataError naming the first that is nowhere."""
        order = np.argsort(declared, kind="stable")
        at = np.searchsorted(declared, wanted, sorter=order)
        at[at == len(declared)] = 0
        found = declared[order[at]] == wanted if len(declared) else np.zeros(len(wanted), np.bool_)
        if not found.all():
            bad = int(np.argmin(found))
            known = f"; declared: {', '.join(map(str, declared[:20]))}" if section == "categories" else ""
            raise DataError(
                f"{self.path}: annotations[{bad}] (id {self.ids[bad]}): {what} {wanted[bad]} is not declared in '{section}'{known}"
            )
        return order[at].astype(np.int32)

    def check_finite(self, boxes_xywh: Array) -> None:
        finite = np.isfinite(boxes_xywh).all(axis=1)
        if not finite.all():
            bad = int(np.argmin(finite))
            raise DataError(f"{self.path}: annotations[{bad}] (id {self.ids[bad]}): 'bbox' is not finite: {boxes_xywh[bad].tolist()}")

    def notes(self, boxes_xywh: Array) -> list[str]:
        notes = []
        repeated = len(self.ids) - len(np.unique(np.frombuffer(self.ids, np.int64)))
        if repeated:
            notes.append(f"{repeated} annotation ids occur more than once; the objects are all kept")
        flat = int((boxes_xywh[:, 2:] <= 0).any(axis=1).sum())
        if flat:
            notes.append(f"{flat} boxes have no area; they are never trained on")
        return notes


class _Categories:
    """The `categories` list: name by id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: dict[int, str] = {}

    def add(self, entry: Mapping[str, object]) -> None:
        where = f"{self.path}: categories[{len(self.names)}]"
        category_id, name = _integer(entry, "id", where), _text(entry, "name", where)
        if category_id in self.names:
            raise DataError(f"{where}: category id {category_id} occurs twice: '{self.names[category_id]}' and '{name}'")
        if name in self.names.values():
            raise DataError(f"{where}: category name '{name}' occurs twice; give each category a name of its own")
        self.names[category_id] = name

    def table(self) -> tuple[Array, list[str]]:
        """(category ids ascending, their names)."""
        ids = sorted(self.names)
        return np.array(ids, np.int64), [self.names[category_id] for category_id in ids]


def _integer(entry: Mapping[str, object], key: str, where: str) -> int:
    value = entry.get(key)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{where}: '{key}' must be an integer, found {'nothing' if value is None else repr(value)}")
    return value


def _text(entry: Mapping[str, object], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: '{key}' must be a text, found {'nothing' if value is None else repr(value)}")
    return value
