"""Mistakes in the balance of classes: too few objects, none in one of the splits, images without any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from centernet.data.inspection.problems import Problem, Severity, some
from centernet.structures import Annotations

FEWEST = 10  # objects that a class can be learnt from at all
MOST_TIMES = 100  # as many objects of the commonest class
MOST_EMPTY = 0.5  # share of images without objects


def counts(annotations: Annotations, num_classes: int) -> list[int]:
    """Objects of each class."""
    return np.bincount(annotations.class_ids, minlength=num_classes).tolist()  # type: ignore[no-any-return]


def problems(names: Sequence[str], numbers: Mapping[str, Sequence[int]]) -> Iterator[Problem]:
    """What the counts tell.

    Args:
        names: of the classes.
        numbers: split → objects of each class.
    """
    train, val = numbers.get("train"), numbers.get("val")
    if train is not None and val is not None:
        yield from _about(
            [i for i in range(len(names)) if val[i] and not train[i]], names, "untrained-classes", "error", "both",
            "classes that are validated, but never trained: their AP is 0", "another split, or leave them out of data.dataset.classes",
        )  # fmt: skip
        yield from _about(
            [i for i in range(len(names)) if train[i] and not val[i]], names, "unmeasured-classes", "warning", "both",
            "classes that are trained, but never validated", "another split",
        )  # fmt: skip
        yield from _about(
            [i for i in range(len(names)) if not train[i] and not val[i]], names, "unused-classes", "warning", "both",
            "classes without any object", "leave them out: data.dataset.classes lists those to keep",
        )  # fmt: skip
    if train is None:
        return
    most = max(train, default=0)
    yield from _about(
        [i for i, number in enumerate(train) if 0 < number < FEWEST], names, "rare-classes", "warning", "train",
        f"classes with fewer than {FEWEST} objects to train on", "more images, or leave them out of data.dataset.classes", train,
    )  # fmt: skip
    yield from _about(
        [i for i, number in enumerate(train) if number >= FEWEST and number * MOST_TIMES < most], names, "unbalanced-classes",
        "warning", "train", f"classes with less than a hundredth of the objects of '{names[train.index(most)]}' ({most})",
        "more images of them", train,
    )  # fmt: skip


def empty_images(split: str, annotations: Annotations) -> Iterator[Problem]:
    """Images without objects, where they are many: good as background, but they may just not be annotated yet."""
    number = len(annotations) - len(np.unique(annotations.image_index))
    if number > MOST_EMPTY * len(annotations):
        lacking = np.setdiff1d(np.arange(len(annotations)), annotations.image_index)
        yield Problem(
            code="empty-images", severity="warning", split=split, count=number, total=len(annotations), what="images",
            text="images without an object", cure="right for pictures of background; else annotate them, or take them out",
            examples=some([annotations.file_names[int(i)] for i in lacking[:20]]),
        )  # fmt: skip


def _about(
    found: Sequence[int],
    names: Sequence[str],
    code: str,
    severity: Severity,
    split: str,
    text: str,
    cure: str,
    numbers: Sequence[int] | None = None,
) -> Iterator[Problem]:
    if found:
        yield Problem(
            code=code, severity=severity, split=split, count=len(found), total=len(names), what="classes", text=text, cure=cure,
            examples=some([names[i] if numbers is None else f"{names[i]}: {numbers[i]}" for i in found]),
        )  # fmt: skip
