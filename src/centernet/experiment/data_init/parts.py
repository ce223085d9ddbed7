"""Read the annotations of a folder, whatever their format, as one table for each split that the folder has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from centernet.data.coco_json import read_coco_json
from centernet.data.foreign import csv_boxes, labelme_json, xml_files
from centernet.data.foreign.table_parts import chosen, joined
from centernet.data.tables import AnnotationTable
from centernet.data.voc_xml import ImageSet, read_voc
from centernet.errors import DataError
from centernet.experiment.data_init import yolo_folder
from centernet.experiment.data_init.survey import FORMATS, SPLITS, Survey, split_of_folder, split_of_name

LISTS = Path("ImageSets") / "Main"


@dataclass(frozen=True, kw_only=True)
class Part:
    """The images of one split and their objects; file names are relative to the data folder.

    split: `train`, `val`, `test`, `trainval`, or nothing where the folder does not say. section: how a data set in YAML names it
    as it is, where it can; plug-in: the data set that reads it then.
    """

    split: str
    table: AnnotationTable
    plugin: str = "coco"
    section: Mapping[str, Any] | None = None


def read(survey: Survey, kind: str | None, annotations: Path | None) -> tuple[str, list[Part]]:
    """The format, and the splits.

    Args:
        kind: of `FORMATS`; None: the only one there is.
        annotations: the only annotation file to read, where there are several.

    Raises:
        DataError: there are no annotations, or several formats or files that exclude each other, or they cannot be read.
    """
    formats = survey.formats
    if annotations is not None:
        wanted = _inside(survey.root, annotations)
        formats = {name: [wanted] for name, files in formats.items() if wanted in files}
        if not formats:
            raise DataError(f"{annotations}: is not an annotation file with boxes; found in {survey.root}:\n{survey.describe()}")
    if kind is not None and kind not in formats:
        raise DataError(f"{survey.root}: holds no {FORMATS[kind]}; found:\n{survey.describe() or '  no annotations'}")
    if not formats:
        raise DataError(
            f"{survey.root}: {len(survey.images.paths)} images, but no annotations; expected one of: {', '.join(FORMATS.values())}"
        )
    if kind is None and len(formats) > 1:
        raise DataError(f"{survey.root}: holds several kinds of annotations; choose one:\n{survey.describe()}")
    kind = kind or next(iter(formats))
    parts = _READERS[kind](survey, formats[kind])
    return kind, [part for part in parts if len(part.table.image_ids)]


def _inside(root: Path, path: Path) -> str:
    for candidate in (path, root / path):
        if candidate.is_file() and root.resolve() in candidate.resolve().parents:
            return candidate.resolve().relative_to(root.resolve()).as_posix()
    raise DataError(f"{path}: no such file in {root}")


def _coco(survey: Survey, files: Sequence[str]) -> list[Part]:
    return [_coco_part(survey, split, file) for split, file in _one_each(survey, files).items()]


def _coco_part(survey: Survey, split: str, file: str) -> Part:
    table = read_coco_json(survey.root / file)
    places = [survey.images.find(name, near=file) for name in table.file_names]
    found = np.flatnonzero([place is not None for place in places])
    missing = [name for name, place in zip(table.file_names, places, strict=True) if place is None]
    if len(missing) > len(places) / 2:
        raise DataError(
            f"{survey.root / file}: {len(missing)} of the {len(places)} images it lists are not in {survey.root}, for example "
            f"'{missing[0]}'; give the folder that holds both, or copy the images there"
        )
    first = str(places[int(found[0])]) if len(found) else ""
    name = str(table.file_names[int(found[0])]) if len(found) else ""
    folder = first[: len(first) - len(name)].rstrip("/") if first.endswith(name) else None
    direct = (
        folder is not None and not missing and all(p == f"{folder}/{n}".lstrip("/") for p, n in zip(places, table.file_names, strict=True))
    )
    notes = [*table.notes]
    if missing:
        notes.append(f"{len(missing)} images that {file} lists are not there and are left out, for example '{missing[0]}'")
    table = replace(table, file_names=[str(place) for place in places], notes=notes)
    section = {"images": folder or ".", "annotations": file} if direct else None
    return Part(split=split, table=table if direct else chosen(table, found), section=section)


def _voc(survey: Survey, files: Sequence[str]) -> list[Part]:
    devkits = sorted({PurePosixPath(file).parent.parent.as_posix() for file in files if PurePosixPath(file).parent.name == "Annotations"})
    devkits = [folder for folder in devkits if (survey.root / folder / LISTS).is_dir() and (survey.root / folder / "JPEGImages").is_dir()]
    parts = []
    for split in SPLITS:
        having = [folder for folder in devkits if (survey.root / folder / LISTS / f"{split}.txt").is_file()]
        if having:
            table = read_voc(survey.root, [ImageSet(folder, split) for folder in having])
            section = {"folders": having, "image_sets": [split] * len(having)} if having != ["."] else {"image_sets": [split]}
            parts.append(Part(split=split, table=table, plugin="voc", section=section))
    return parts or [
        Part(split=split, table=xml_files.read_xml_files(survey.root, group, survey.images, source=str(survey.root)))
        for split, group in _by_folder(files).items()
    ]


def _cvat(survey: Survey, files: Sequence[str]) -> list[Part]:
    chosen_files = _one_each(survey, files)
    return [Part(split=split, table=xml_files.read_cvat(survey.root, file, survey.images)) for split, file in chosen_files.items()]


def _csv(survey: Survey, files: Sequence[str]) -> list[Part]:
    chosen_files = _one_each(survey, files)
    return [Part(split=split, table=csv_boxes.read_csv(survey.root, file, survey.images)) for split, file in chosen_files.items()]


def _labelme(survey: Survey, files: Sequence[str]) -> list[Part]:
    return [
        Part(split=split, table=labelme_json.read_labelme(survey.root, group, survey.images, source=str(survey.root)))
        for split, group in _by_folder(files).items()
    ]


def _yolo(survey: Survey, files: Sequence[str]) -> list[Part]:
    return [Part(split=split, table=table) for split, table in yolo_folder.read_folder(survey, files).items()]


def _by_folder(files: Iterable[str]) -> dict[str, list[str]]:
    """Files that come one an image, by the split that their folders speak of."""
    groups: dict[str, list[str]] = {}
    for file in files:
        groups.setdefault(split_of_folder(file) or "", []).append(file)
    return groups


def _one_each(survey: Survey, files: Sequence[str]) -> dict[str, str]:
    """The annotation file of each split; DataError where several could be meant."""
    groups: dict[str, list[str]] = {}
    for file in files:
        groups.setdefault(split_of_name(PurePosixPath(file).stem) or split_of_folder(file) or "", []).append(file)
    for split, group in groups.items():
        named = [file for file in group if PurePosixPath(file).name.startswith("instances_")]  # COCO's own beside its keypoints
        groups[split] = named if len(named) == 1 else group
    ambiguous = {split: group for split, group in groups.items() if len(group) > 1}
    if ambiguous or (len(groups) > 1 and "" in groups):
        raise DataError(
            f"{survey.root}: several annotation files could be meant; choose one with --annotations FILE, or take the others away:\n"
            + "\n".join(f"  {split or 'no split in its name'}: {', '.join(group[:6])}" for split, group in groups.items())
        )
    return {split: group[0] for split, group in groups.items()}


def pooled(parts: Sequence[Part]) -> Part:
    """Several splits as one."""
    return parts[0] if len(parts) == 1 else Part(split="", table=joined([part.table for part in parts]))


_READERS = {"coco": _coco, "voc": _voc, "cvat": _cvat, "csv": _csv, "labelme": _labelme, "yolo": _yolo}
