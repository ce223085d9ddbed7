"""YOLO's folders: `data.yaml` where there is one, else what the folders, lists of images and lists of names say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from centernet import config as configuration
from centernet.data.foreign.yolo_text import read_yolo
from centernet.data.tables import AnnotationTable
from centernet.errors import DataError
from centernet.experiment.data_init.survey import IMAGE_LISTS, NAME_LISTS, Survey, split_of_folder, split_of_name
from centernet.imaging.io import IMAGE_SUFFIXES


def read_folder(survey: Survey, files: Sequence[str]) -> dict[str, AnnotationTable]:
    """Split → table; `files`: the label files.

    Raises:
        DataError: several lists of names, an image with several label files, or labels that cannot be read.
    """
    labels = _labels(survey, files)
    described = _description(survey)
    names = _names(survey, described)
    split_of = _splits(survey, described)
    groups: dict[str, dict[str, str | None]] = {}
    for image in survey.images.paths:
        groups.setdefault(split_of.get(image, "" if not split_of else "unlisted"), {})[image] = labels.get(image)
    groups.pop("unlisted", None)
    tables = {}
    for split, images in groups.items():
        table = read_yolo(survey.root, images, names, source=str(survey.root))
        empty = [image for image, label in images.items() if label is None]
        if empty:
            note = f"{len(empty)} images have no text file and are taken for images without objects, for example {empty[0]}"
            table = replace(table, notes=[*table.notes, note])
        tables[split] = table
    return tables


def _labels(survey: Survey, files: Sequence[str]) -> dict[str, str]:
    """Image → its label file."""
    found: dict[str, str] = {}
    for file in files:
        image = survey.images.of_stem(file)
        if image is not None and found.setdefault(image, file) != file:
            raise DataError(f"{survey.root / image}: has two text files, {found[image]} and {file}; take one away")
    return found


def _description(survey: Survey) -> tuple[str, Mapping[str, object]] | None:
    """The file that Ultralytics calls a data set's YAML, and what it holds."""
    for file in survey.files:
        if file.endswith((".yaml", ".yml")):
            tree = configuration.read_foreign_yaml(survey.root / file)
            if isinstance(tree, dict) and "names" in tree:
                return file, tree
    return None


def _names(survey: Survey, described: tuple[str, Mapping[str, object]] | None) -> list[str] | None:
    """The classes' names by number; None where no file has them."""
    if described is not None:
        names = described[1]["names"]
        if isinstance(names, dict):
            if sorted(names) != list(range(len(names))):
                raise DataError(f"{survey.root / described[0]}: names: expected the numbers 0 to {len(names) - 1}, found {sorted(names)}")
            return [str(names[number]) for number in range(len(names))]
        if isinstance(names, list):
            return [str(name) for name in names]
    found: dict[str, list[str]] = {}
    for file in survey.files:
        if PurePosixPath(file).name.lower() in NAME_LISTS or file.endswith(".names"):
            lines = (survey.root / file).read_text(encoding="utf-8-sig").splitlines()
            found[file] = [line.strip() for line in lines if line.strip()]
    if len({tuple(names) for names in found.values()}) > 1:
        raise DataError(f"{survey.root}: several lists of classes that differ: {', '.join(found)}; take the wrong ones away")
    return next(iter(found.values()), None)


def _splits(survey: Survey, described: tuple[str, Mapping[str, object]] | None) -> dict[str, str]:
    """Image → split; nothing where the folder does not say."""
    if described is not None:
        named = _described_splits(survey, *described)
        if named:
            return named
    lists = {file: split_of_name(PurePosixPath(file).stem) for file in survey.files if PurePosixPath(file).name.lower() in IMAGE_LISTS}
    found: dict[str, str] = {}
    for file, split in lists.items():
        if split is not None:
            found |= dict.fromkeys(_listed(survey, file), split)
    if found:
        return found
    by_folder = {image: split_of_folder(image) for image in survey.images.paths}
    return {image: split or "" for image, split in by_folder.items()} if any(by_folder.values()) else {}


def _described_splits(survey: Survey, file: str, tree: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}
    beside = (survey.root / file).parent
    bases = [beside / str(tree.get("path") or ""), beside, survey.root]
    for key in ("train", "val", "test"):
        entries = tree.get(key)
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, str) and entry:
                for image in _images_of(survey, entry, bases):
                    found.setdefault(image, key)
    return found


def _images_of(survey: Survey, entry: str, bases: Sequence[Path]) -> list[str]:
    """The images of a folder or a list, as `data.yaml` names it: relative to itself, to `path`, or, as Roboflow has it, with `../`."""
    root = survey.root.resolve()
    tails = dict.fromkeys([entry, entry.removeprefix("../"), entry.removeprefix("./")])
    for base in bases:
        for tail in tails:
            place = (base / tail).resolve()
            if place.is_dir() and (place == root or root in place.parents):
                inside = place.relative_to(root).as_posix()
                found = survey.images.paths if inside == "." else [path for path in survey.images.paths if path.startswith(inside + "/")]
                if found:
                    return list(found)
            if place.is_file() and root in place.parents:
                return _listed(survey, place.relative_to(root).as_posix())
    return []


def _listed(survey: Survey, file: str) -> list[str]:
    """The images that a text file lists, those that are there."""
    lines = (survey.root / file).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    names = [line.strip() for line in lines if line.strip().lower().endswith(IMAGE_SUFFIXES)]
    return [image for name in names if (image := survey.images.find(name, near=file)) is not None]
