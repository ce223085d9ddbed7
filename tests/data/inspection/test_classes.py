"""The balance of classes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from centernet.data.datasets.base import DetectionDataset
from centernet.data.inspection import classes

NAMES = ("cat", "dog", "cow")


@pytest.mark.parametrize(
    ("train", "val", "code", "severity", "examples"),
    [
        ([50, 50, 0], [5, 5, 5], "untrained-classes", "error", ("cow",)),
        ([50, 50, 50], [5, 0, 5], "unmeasured-classes", "warning", ("dog",)),
        ([50, 50, 0], [5, 5, 0], "unused-classes", "warning", ("cow",)),
        ([50, 3, 50], [5, 5, 5], "rare-classes", "warning", ("dog: 3",)),
        ([9000, 9000, 50], [5, 5, 5], "unbalanced-classes", "warning", ("cow: 50",)),
    ],
)
def test_an_imbalance_is_named_with_its_classes(
    train: list[int], val: list[int], code: str, severity: str, examples: tuple[str, ...]
) -> None:
    (problem,) = classes.problems(NAMES, {"train": train, "val": val})
    assert (problem.code, problem.severity, problem.examples) == (code, severity, examples)
    assert (problem.count, problem.total) == (1, 3)


def test_balanced_classes_have_no_problem() -> None:
    assert list(classes.problems(NAMES, {"train": [50, 60, 70], "val": [5, 5, 5]})) == []
    assert list(classes.problems(NAMES, {"val": [5, 5, 0]})) == []  # the other split could not be opened


def test_many_images_without_objects_are_said(make: Callable[..., DetectionDataset]) -> None:
    objects = [(0, 0, (1.0, 1.0, 9.0, 9.0))]
    (problem,) = classes.empty_images("train", make(["a.png", "b.png", "c.png"], objects).annotations)
    assert (problem.count, problem.examples) == (2, ("b.png", "c.png"))
    assert list(classes.empty_images("train", make(["a.png", "b.png"], objects).annotations)) == []


def test_counts_are_those_of_all_classes(make: Callable[..., DetectionDataset]) -> None:
    assert classes.counts(make(["a.png"], [(0, 1, (1, 1, 9, 9))]).annotations, 3) == [0, 1, 0]
