"""Read Pascal VOC devkit folders (`Annotations`, `ImageSets/Main`, `JPEGImages`) into an `AnnotationTable`."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from centernet.data import cache
from centernet.data.tables import AnnotationTable
from centernet.errors import DataError
from centernet.geometry import boxes as box_geometry

CACHE_ABOVE_FILES = 1000  # fewer are parsed faster than a cache of them is looked up and checked
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class ImageSet:
    """One list of images: `name` in `ImageSets/Main` of the devkit folder `folder`, a path relative to the data folder."""

    folder: str
    name: str


def read_voc(root: Path, image_sets: Sequence[ImageSet]) -> AnnotationTable:
    """The images of several lists, one after the other, with the classes that occur in them, sorted by name.

    Boxes are xyxy with the numbers of the XML as they are. VOC counts pixels from 1 and includes the last one, so the box
    of a whole 10-pixel row is (1, 10); the family trains on these numbers unshifted, and `metrics.voc_ap` measures with them.
    `pose`, `truncated` and `difficult` may be missing, coordinates may have decimals. Image ids are the numbers that the
    file names are, where they all are different numbers, else they count from 1. File names are relative to `root`.

    Raises:
        DataError: a list, XML file or a field of it is missing or broken (named), or an image is listed twice.
    """
    entries = [(image_set, stem) for image_set in image_sets for stem in _listed(root, image_set)]
    _check_unique(root, entries)
    paths = [root / image_set.folder / "Annotations" / f"{stem}.xml" for image_set, stem in entries]
    for path, (image_set, _) in zip(paths, entries, strict=True):
        if not path.is_file():
            raise DataError(f"{path}: the annotation file does not exist, but {_list_path(root, image_set)} lists it")
    source = ", ".join(str(_list_path(root, image_set)) for image_set in image_sets)
    if len(paths) < CACHE_ABOVE_FILES:
        return _parse(source, root, entries, paths)
    lists = [_list_path(root, image_set) for image_set in image_sets]
    return cache.cached_table(source, [*lists, *paths], lambda: _parse(source, root, entries, paths))


@dataclass(frozen=True)
class XmlImage:
    """One XML file: what it calls its image, its (height, width), 0 where it is silent, and (class, corners, difficult) of each object."""

    file_name: str
    size: tuple[int, int]
    objects: Sequence[tuple[str, list[float], bool]]


def read_xml(path: Path) -> XmlImage:
    """One XML file of a devkit, or of labelImg; DataError as `read_voc`."""
    tree = _tree(path)
    height, width = (int(_number(tree.findtext(f"size/{side}") or "0", f"{path}: size/{side}")) for side in ("height", "width"))
    return XmlImage((tree.findtext("filename") or "").strip(), (height, width), list(_objects(tree, path)))


def with_classes(table: AnnotationTable, names: Iterable[str]) -> AnnotationTable:
    """The same annotations with these classes declared too, so that all splits number them alike (by name)."""
    names = sorted({*table.category_names, *names})
    position = np.array([names.index(name) for name in table.category_names], np.int32)
    return replace(
        table,
        category_names=names,
        category_ids=np.arange(1, len(names) + 1),
        category_of=position[table.category_of] if len(position) else table.category_of,
    )


def _list_path(root: Path, image_set: ImageSet) -> Path:
    return root / image_set.folder / "ImageSets" / "Main" / f"{image_set.name}.txt"


def _listed(root: Path, image_set: ImageSet) -> list[str]:
    """The first word of each line; lists of a single class have a flag behind it."""
    path = _list_path(root, image_set)
    if not path.is_file():
        folder = path.parent
        found = ", ".join(sorted(file.stem for file in folder.glob("*.txt"))[:20]) if folder.is_dir() else "no such folder"
        raise DataError(f"{path}: the list of images does not exist; found in {folder}: {found or 'no list'}")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def _check_unique(root: Path, entries: Sequence[tuple[ImageSet, str]]) -> None:
    seen: set[tuple[str, str]] = set()
    for image_set, stem in entries:
        if (image_set.folder, stem) in seen:
            raise DataError(f"{_list_path(root, image_set)}: image '{stem}' is listed twice")
        seen.add((image_set.folder, stem))


def _parse(source: str, root: Path, entries: Sequence[tuple[ImageSet, str]], paths: Sequence[Path]) -> AnnotationTable:
    sizes, image_index, boxes, difficult = array("i"), array("i"), array("d"), array("b")
    names: list[str] = []
    for number, path in enumerate(paths):
        image = read_xml(path)
        sizes.extend(image.size)
        for name, corners, is_difficult in image.objects:
            names.append(name)
            image_index.append(number)
            boxes.extend(corners)
            difficult.append(is_difficult)
    categories = sorted(set(names))
    xyxy = np.array(boxes, np.float64).reshape(-1, 4)
    flat = int((xyxy[:, 2:] <= xyxy[:, :2]).any(axis=1).sum())
    return AnnotationTable(
        source=source,
        image_ids=_image_ids([stem for _, stem in entries]),
        image_sizes=np.array(sizes, np.int32).reshape(-1, 2),
        file_names=[_image_name(root, image_set.folder, stem) for image_set, stem in entries],
        image_index=np.array(image_index, np.int32),
        boxes=xyxy,
        category_of=np.array([categories.index(name) for name in names], np.int32),
        areas=box_geometry.area(xyxy),
        is_crowd=np.zeros(len(names), np.bool_),
        is_difficult=np.array(difficult, np.bool_),
        category_ids=np.arange(1, len(categories) + 1),
        category_names=categories,
        notes=[f"{flat} boxes have no area; they are never trained on"] if flat else [],
    )


def _tree(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable XML file: {error}") from error


def _objects(tree: ElementTree.Element, path: Path) -> Iterable[tuple[str, list[float], bool]]:
    """(class name, corners, difficult) of each object; its parts, which VOC 2007 lists inside of persons, are not objects."""
    for number, element in enumerate(tree.findall("object")):
        where = f"{path}: object {number + 1}"
        name = (element.findtext("name") or "").strip()
        if not name:
            raise DataError(f"{where} has no name")
        corners = [_number(element.findtext(f"bndbox/{key}"), f"{where} ('{name}'): bndbox/{key}") for key in _CORNERS]
        yield name, corners, (element.findtext("difficult") or "0").strip() not in ("0", "")


def _number(text: str | None, what: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{what} must be a number, found {'nothing' if text is None else repr(text)}")
    return value


def _image_name(root: Path, folder: str, stem: str) -> str:
    """The image of an annotation: the `.jpg` of VOC, or whatever image is there under that name."""
    images = Path(folder) / "JPEGImages"
    for suffix in _SUFFIXES:
        if (root / images / f"{stem}{suffix}").is_file():
            return str(images / f"{stem}{suffix}")
    return str(images / f"{stem}.jpg")


def _image_ids(stems: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    numbers = [int(stem) for stem in stems if stem.isascii() and stem.isdecimal() and len(stem) < 18]
    if len(set(numbers)) == len(stems):
        return np.array(numbers, np.int64)
    return np.arange(1, len(stems) + 1, dtype=np.int64)
