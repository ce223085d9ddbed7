"""Look at a folder: which files are images, and which kinds of annotations there are."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

from centernet.data.foreign import csv_boxes, yolo_text
from centernet.data.foreign.image_index import ImageIndex, walk
from centernet.errors import DataError, first_of

CHUNK = 1 << 16
LOOKED_AT = 20  # of files that come one an image
FORMATS = {
    "coco": "COCO-style JSON",
    "voc": "Pascal VOC XML",
    "cvat": "CVAT's XML",
    "yolo": "YOLO text files",
    "csv": "CSV",
    "labelme": "LabelMe's JSON",
}
SPLITS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing"),
    "trainval": ("trainval",),
}
NAME_LISTS = ("classes.txt", "obj.names", "predefined_classes.txt", "_darknet.labels", "labels.txt", "class_names.txt")
IMAGE_LISTS = ("train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt", "default.txt")


@dataclass(frozen=True)
class Survey:
    """The files below `root`, as relative paths, and those of each format that there is."""

    root: Path
    files: Sequence[str]
    images: ImageIndex

    @cached_property
    def formats(self) -> dict[str, list[str]]:
        """Format → its files, for each of `FORMATS` that is there."""
        found: dict[str, list[str]] = {"coco": [], "labelme": [], "voc": [], "cvat": [], "yolo": [], "csv": []}
        for file in self.files:
            kind = self._kind(file)
            if kind is not None:
                found[kind].append(file)
        labels = list(islice(found["yolo"], LOOKED_AT))
        if not all(yolo_text.is_label(_ends(self.root / file)[0]) for file in labels):
            found["yolo"] = []
        return {kind: files for kind, files in found.items() if files}

    def _kind(self, file: str) -> str | None:
        path, suffix = self.root / file, PurePosixPath(file).suffix.lower()
        if suffix == ".txt":
            is_list = PurePosixPath(file).name.lower() in (*NAME_LISTS, *IMAGE_LISTS)
            return "yolo" if not is_list and self.images.of_stem(file) is not None else None
        if suffix == ".csv":
            return "csv" if csv_boxes.is_boxes(path) else None
        if suffix == ".xml":
            head = _ends(path)[0]
            return "cvat" if "<annotations>" in head else "voc" if "<annotation" in head else None
        return _kind_of_json(*_ends(path)) if suffix == ".json" else None

    def describe(self) -> str:
        """What is there, a line for each format."""
        lines = []
        for kind, files in self.formats.items():
            shown = first_of(files, 3)
            lines.append(f"  --format {kind}: {FORMATS[kind]}, {len(files)} file{'s' if len(files) > 1 else ''}: {shown}")
        return "\n".join(lines)


def look(root: Path, *, without: Collection[Path] = ()) -> Survey:
    """Look at a folder, and all folders in it.

    Args:
        without: files in these folders are not looked at: what was converted before.

    Raises:
        DataError: it is no folder, or holds no images.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected one with images and annotations")
    files = [file for file in walk(root) if not any(folder in (root / file).parents for folder in without)]
    images = ImageIndex(files)
    if not images.paths:
        raise DataError(f"{root}: no images in this folder or the folders in it ({len(files)} files)")
    return Survey(root, files, images)


def split_of_name(name: str) -> str | None:
    """Which split a file's or folder's name speaks of: `instances_val2017` of `val`."""
    words = re.findall("[a-z]+", name.lower())
    return next((split for word in words for split, known in SPLITS.items() if word in known), None)


def split_of_folder(file: str) -> str | None:
    """Which split a file belongs to by the folders it is in, the innermost first: those that are called `train` or `val2017`."""
    for folder in reversed(file.split("/")[:-1]):
        word = re.fullmatch(r"([a-z]+?)(set|_?images?|_?img|_?labels?|_?data)?[\d_]*", folder.lower())
        split = next((split for split, known in SPLITS.items() if word is not None and word[1] in known), None)
        if split is not None:
            return split
    return None


def _kind_of_json(head: str, tail: str) -> str | None:
    text = head + tail
    if '"shapes"' in text and '"imagePath"' in text:
        return "labelme"
    keys = sum(f'"{key}"' in text for key in ("images", "annotations", "categories"))
    return "coco" if keys >= 2 and '"bbox"' in text else None


def _ends(path: Path) -> tuple[str, str]:
    """The first and the last letters of a file; nothing where it cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(CHUNK)
            file.seek(max(path.stat().st_size - CHUNK, 0))
            return head.decode("utf-8-sig", errors="replace"), file.read().decode(errors="replace")
    except OSError:
        return "", ""
