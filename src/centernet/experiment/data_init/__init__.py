"""From a folder to an experiment: find the annotations, make the split, write what `centernet train` takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from centernet.data.foreign import holdout
from centernet.data.foreign.table_parts import chosen, coco_json, same_categories
from centernet.data.tables import AnnotationTable
from centernet.errors import ConfigError, DataError, OutputError
from centernet.experiment.data_init.parts import Part, pooled, read
from centernet.experiment.data_init.survey import FORMATS, look
from centernet.experiment.data_init.yaml_text import Facts, yaml_text
from centernet.experiment.output import output_folder
from centernet.geometry import boxes as box_geometry
from centernet.imaging.glance import glance

__all__ = ["FORMATS", "Initialised", "Request", "init"]

SHARE = 0.2
PART = ".part"  # ends the name of a file that is being written
CONVERTED = "centernet"  # folder below the data's own
SAMPLED = 200  # images whose sizes are looked up where the annotations do not say them


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to look at, and what to write.

    root: the folder. output: the YAML file. converted: folder for annotations that have to be converted; None: one below `root`.
    kind: of `FORMATS`, None: the only one there is. annotations: the annotation file, None: likewise. share: of the images to
    hold out, in (0, 1), None: the folder's own split where it has one, else `SHARE`. resplit: not to use the folder's own.
    """

    root: Path
    output: Path
    converted: Path | None = None
    kind: str | None = None
    annotations: Path | None = None
    share: float | None = None
    resplit: bool = False
    seed: int = 317
    force: bool = False


@dataclass(frozen=True, kw_only=True)
class Initialised:
    """What was found and written.

    kind: of `FORMATS`. split: how the split came about. counts: of each class its objects in training and validation.
    num_images: (training, validation). notes: what a user should know. files: what was written, the YAML last.
    """

    kind: str
    split: str
    counts: dict[str, tuple[int, int]]
    num_images: tuple[int, int]
    notes: Sequence[str]
    files: Sequence[Path]


def init(request: Request) -> Initialised:
    """Look, split and write.

    Raises:
        DataError: there is nothing to train on, several things could be meant, or the annotations are broken.
        ConfigError: a share was asked for although the folder has its own split.
        OutputError: a file to be written is there already, or cannot be written.
    """
    root = Path(os.path.abspath(request.root.expanduser()))
    folder = Path(os.path.abspath((request.converted or root / CONVERTED).expanduser()))
    survey = look(root, without={folder, root / CONVERTED})
    kind, parts = read(survey, request.kind, request.annotations)
    (train, val), split, notes = _split(parts, request, root)
    tables = same_categories([train.table, val.table])
    is_direct = train.section is not None and val.section is not None and (train.plugin == "voc" or tables[0] is train.table)
    files = {} if is_direct else {folder / f"{name}.json": coco_json(table) for name, table in zip(("train", "val"), tables, strict=True)}
    sections: Sequence[Any] = (train.section, val.section) if is_direct else [_section(path, root) for path in files]
    counts = _counts(tables)
    plugin = train.plugin if is_direct else "coco"
    heading = f"Made by `centernet data init` from {root.name or root}: {FORMATS[kind]}, {split}"
    used = [name for name, (first, second) in counts.items() if first or second]
    classes = used if len(used) < len(counts) and plugin == "coco" else None
    listed = {name for part in parts for name in part.table.file_names}
    missing = [name for name in survey.images.paths if name not in listed]
    if missing:
        all_images = f"{len(missing)} of {len(survey.images.paths)} images"
        notes.append(f"{all_images} have no annotation, or are in no split, and are left out, for example {missing[0]}")
    notes += _notes(counts, classes)
    facts = _facts(tables, root=root, plugin=plugin, train=sections[0], val=sections[1], classes=classes)
    text = yaml_text(facts, heading=heading)
    files[request.output] = text
    _write(files, force=request.force)
    return Initialised(
        kind=kind,
        split=split,
        counts={name: count for name, count in counts.items() if sum(count)},
        num_images=(len(tables[0].image_ids), len(tables[1].image_ids)),
        notes=notes,
        files=list(files),
    )


def _split(parts: Sequence[Part], request: Request, root: Path) -> tuple[tuple[Part, Part], str, list[str]]:
    """The training and the validation part, how they came about, and what to say of them."""
    named = {part.split: part for part in parts}
    has_own = "train" in named and "val" in named
    if has_own and not request.resplit:
        if request.share is not None:
            raise ConfigError(f"--val: {root} has its own split; leave --val out, or give --resplit to make another")
        rest = [part for part in parts if part.split == "test"]
        notes = _told([named["train"], named["val"]]) + [
            f"{len(part.table.image_ids)} images of '{part.split}' are left aside" for part in rest
        ]
        sizes = (len(named[name].table.image_ids) for name in ("train", "val"))
        return (named["train"], named["val"]), "its own split: {} and {} images".format(*sizes), notes
    wanted = {"trainval"} if "trainval" in named and not has_own else {"train", "val", ""}
    used = [part for part in parts if part.split in wanted] or list(parts)
    aside = [part for part in parts if part not in used and part.split == "test"]
    notes = _told(used) + [f"{len(part.table.image_ids)} images of '{part.split}' are left aside" for part in aside]
    share = SHARE if request.share is None else request.share
    whole = pooled(used).table
    if len(whole.image_ids) < 2:
        raise DataError(f"{root}: {len(whole.image_ids)} annotated images; a split needs two")
    if not len(whole.image_index):
        raise DataError(f"{root}: none of its {len(whole.image_ids)} images has an object, so there is nothing to learn")
    groups = holdout.groups_of([root / name for name in whole.file_names])
    held = holdout.held_out(groups, whole.image_index, whole.category_of, whole.file_names, share=share, seed=request.seed)
    whole = replace(whole, notes=[])
    halves = [Part(split=name, table=chosen(whole, np.flatnonzero(mask))) for name, mask in (("train", ~held), ("val", held))]
    twins = len(groups) - len(set(groups))
    if twins:
        notes.append(f"{twins} images are copies or variants of others; they were kept on the same side")
    how = f"split made here: {(~held).sum()} and {held.sum()} images, {share:.0%} of every class held out, seed {request.seed}"
    return (halves[0], halves[1]), how, notes


def _told(parts: Sequence[Part]) -> list[str]:
    """What the readers found worth saying."""
    return [f"{part.split}: {note}" if part.split else note for part in parts for note in part.table.notes]


def _section(path: Path, root: Path) -> dict[str, str]:
    return {"images": ".", "annotations": path.relative_to(root).as_posix() if root in path.parents else str(path)}


def _counts(tables: Sequence[AnnotationTable]) -> dict[str, tuple[int, int]]:
    numbers = [np.bincount(table.category_of, minlength=len(table.category_names)).tolist() for table in tables]
    return {name: (first, second) for name, first, second in zip(tables[0].category_names, *numbers, strict=True)}


def _notes(counts: dict[str, tuple[int, int]], classes: Sequence[str] | None) -> list[str]:
    unused = [name for name, count in counts.items() if not sum(count)]
    notes = [f"declared but without an object, so left out of data.dataset.classes: {', '.join(unused)}"] if classes is not None else []
    for side, other in ((0, 1), (1, 0)):
        lacking = [name for name, count in counts.items() if count[other] and not count[side]]
        if lacking:
            notes.append(f"no object in the {('training', 'validation')[side]} images: {', '.join(lacking)}")
    return notes


def _facts(tables: Sequence[AnnotationTable], *, root: Path, plugin: str, train: Any, val: Any, classes: Sequence[str] | None) -> Facts:
    table = tables[0]
    sizes = _sizes(table, root)
    longer = sizes.max(axis=1)[table.image_index].astype(np.float64) if len(table.image_index) else np.zeros(0)
    known = longer > 0
    areas = box_geometry.area(table.boxes)
    sides = np.sqrt(areas[known]) / longer[known]
    most = max(int(np.bincount(one.image_index, minlength=1).max()) for one in tables)
    return Facts(
        root=root,
        plugin=plugin,
        train=train,
        val=val,
        classes=classes,
        num_train=len(table.image_ids),
        most_objects=most,
        box_sides=sides[sides > 0],
        largest_image=int(sizes.max(initial=0)),
    )


def _sizes(table: AnnotationTable, root: Path) -> Any:
    """(N, 2) height and width; of a sample of the images from their files where the annotations are silent, else 0."""
    if (table.image_sizes > 0).all():
        return table.image_sizes
    sizes = np.zeros_like(table.image_sizes)
    for number in np.unique(np.linspace(0, len(sizes) - 1, min(SAMPLED, len(sizes))).astype(int)):
        try:
            sizes[number] = glance(root / table.file_names[number]).size
        except DataError:  # `data check` says it
            continue
    return sizes


def _write(files: dict[Path, str], *, force: bool) -> None:
    """All files or none: whatever is in the way is found before the first is written."""
    there = [path for path in files if path.exists()]
    if there and not force:
        raise OutputError(f"{', '.join(map(str, there))}: there already; give --force to replace, or another name with -o and --converted")
    fresh = [path for path in files if not path.exists()]
    with ExitStack() as stack:
        try:
            for path, text in files.items():
                stack.enter_context(output_folder(path.parent))
                stack.callback(_remove, path.with_name(path.name + PART))
                path.with_name(path.name + PART).write_text(text, encoding="utf-8")
            for path in files:
                path.with_name(path.name + PART).replace(path)
        except OSError as error:
            for done in fresh:
                _remove(done)
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}; --converted and -o take other places") from None


def _remove(path: Path) -> None:
    with suppress(OSError):  # it is not there
        path.unlink()
