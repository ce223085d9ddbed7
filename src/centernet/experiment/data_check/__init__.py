"""List what is wrong with an experiment's data set, before a night is spent on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from centernet.data.datasets.base import DetectionDataset, Split
from centernet.data.inspection import boxes as box_inspection
from centernet.data.inspection import classes as class_inspection
from centernet.data.inspection import files
from centernet.data.inspection.boxes import Boxes
from centernet.data.inspection.files import Track
from centernet.data.inspection.problems import Problem
from centernet.errors import DataError
from centernet.experiment.assembly import assemble, open_split
from centernet.experiment.data_check.sheet import draw_offenders
from centernet.experiment.schema import ExperimentConfig
from centernet.structures import Grid

__all__ = ["Checked", "Problem", "check", "draw_offenders"]

SPLITS: tuple[Split, ...] = ("train", "val")
DECODED_BELOW = 1000  # images of which all pixels are decoded unless it is forbidden
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What was found.

    num_images, num_objects: by split. counts: of each class its objects by split. box_sides: square roots of the boxes' areas, in
    pixels of the input of size `input_size` (height, width), at which a tenth, half and nine tenths of the training boxes are
    smaller. stride: input pixels per cell. is_decoded: whether all pixels were looked at. problems: the errors first.
    """

    num_images: Mapping[str, int]
    num_objects: Mapping[str, int]
    counts: Mapping[str, Mapping[str, int]]
    box_sides: tuple[float, ...]
    input_size: tuple[int, int]
    stride: int
    is_decoded: bool
    problems: Sequence[Problem]
    datasets: Mapping[str, DetectionDataset]

    @property
    def is_sound(self) -> bool:
        """Whether nothing makes training suffer."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_tree(self) -> dict[str, Any]:
        """All of it, for JSON."""
        names = ("num_images", "num_objects", "counts", "box_sides", "input_size", "stride", "is_decoded")
        tree: dict[str, Any] = {"ok": self.is_sound, **{name: getattr(self, name) for name in names}, "problems": []}
        for problem in self.problems:
            entry = asdict(problem)
            entry["offenders"] = [
                {
                    "split": offender.split,
                    "image": self.datasets[offender.split].name(offender.image),
                    "boxes": self.datasets[offender.split].annotations.boxes[list(offender.objects)].tolist(),
                }
                for offender in problem.offenders
            ]
            tree["problems"].append(entry)
        return tree


def check(config: ExperimentConfig, *, decode: bool | None = None, track: Track = iter) -> Checked:
    """Look at both splits.

    Args:
        decode: all pixels; None: where the images are few.
        track: wraps the images as they come, for a progress bar.

    Raises:
        ConfigError: the network does not take the input size.
        DataError: no split can be opened.
    """
    datasets, problems = _opened(config)
    first = next(iter(datasets.values()))
    grid = assemble(config, first.classes, first.normalization).grid
    num_images = {split: len(dataset) for split, dataset in datasets.items()}
    is_decoded = sum(num_images.values()) <= DECODED_BELOW if decode is None else decode
    seen = files.look(datasets, decode=is_decoded, track=track)
    problems += files.problems(datasets, seen)
    looked = {split: Boxes(split, dataset, files.sizes(seen[split]), grid) for split, dataset in datasets.items()}
    for split, boxes in looked.items():
        problems += _about_ids(split, boxes.dataset)
        problems += box_inspection.problems(boxes, max_objects=getattr(config.task, "max_objects", None), k=config.test.k)
        problems += class_inspection.empty_images(split, boxes.dataset.annotations)
    names = first.classes.names
    numbers = {split: class_inspection.counts(dataset.annotations, len(names)) for split, dataset in datasets.items()}
    problems += class_inspection.problems(names, numbers)
    return Checked(
        num_images=num_images,
        num_objects={split: sum(number) for split, number in numbers.items()},
        counts={name: {split: number[i] for split, number in numbers.items()} for i, name in enumerate(names)},
        box_sides=_quantiles(next(iter(looked.values())), grid),
        input_size=(grid.height, grid.width),
        stride=grid.stride,
        is_decoded=is_decoded,
        problems=sorted(problems, key=lambda problem: problem.severity != "error"),
        datasets=datasets,
    )


def _opened(config: ExperimentConfig) -> tuple[dict[str, DetectionDataset], list[Problem]]:
    """The splits that can be opened, with the same classes, and why others cannot."""
    datasets: dict[str, DetectionDataset] = {}
    problems: list[Problem] = []
    errors: list[DataError] = []
    for split in SPLITS:
        try:
            datasets[split] = open_split(config.data, split)
        except DataError as error:
            errors.append(error)
            problems.append(_unusable("unusable-annotations", split, str(error), "mend the file; it is read up to the first mistake"))
    if not datasets:
        raise errors[0]
    if len(datasets) == 2 and datasets["train"].classes != datasets["val"].classes:
        train, val = (datasets[split].classes for split in SPLITS)
        text = f"training has {', '.join(train.names)}; validation has {', '.join(val.names)}"
        problems.append(_unusable("different-classes", "both", text, "list in data.dataset.classes those to train, in one order"))
        del datasets["val"]
    return datasets, problems


def _unusable(code: str, split: str, text: str, cure: str) -> Problem:
    return Problem(code=code, severity="error", split=split, count=1, total=1, what="files", text=text, cure=cure)


def _about_ids(split: str, dataset: DetectionDataset) -> list[Problem]:
    """What the reader of the annotations bears, but says."""
    total = len(dataset.annotations.boxes)
    return [
        Problem(
            code="repeated-ids", severity="warning", split=split, count=int(note.split()[0]), total=total, what="objects",
            text="annotation ids that occur more than once; all objects are kept", cure="were two files put together? Number them anew",
        )
        for note in dataset.notes
        if "annotation ids" in note
    ]  # fmt: skip


def _quantiles(boxes: Boxes, grid: Grid) -> tuple[float, ...]:
    cells = boxes.in_cells[boxes.is_target]
    sides = np.sqrt((cells[:, 2:] - cells[:, :2]).prod(axis=1)) * grid.stride
    return tuple(float(value) for value in np.quantile(sides, QUANTILES)) if len(sides) else ()
