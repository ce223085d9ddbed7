"""Mistakes in the image files: missing, broken, of another size than annotated, the same in both splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from centernet.data.datasets.base import DetectionDataset
from centernet.data.inspection.problems import Offender, Problem, Severity, some
from centernet.errors import DataError
from centernet.imaging.glance import Glance, glance
from centernet.imaging.io import find_image, read_image
from centernet.structures import Array

THREADS, AHEAD = 16, 64  # of reading, which mostly waits; files that are under way at a time
Track = Callable[[Iterable[Any]], Iterable[Any]]
Place = tuple[str, int]  # a split, and an image's number in it


@dataclass(frozen=True)
class Seen:
    """An image file: what a glance said, or what is wrong with it. is_blank: all of its pixels are the same."""

    glance: Glance | None
    error: str = ""
    is_missing: bool = False
    is_blank: bool = False


def look(datasets: Mapping[str, DetectionDataset], *, decode: bool, threads: int = THREADS, track: Track = iter) -> dict[str, list[Seen]]:
    """Every image of every split.

    Args:
        decode: also decode all pixels, which finds damage inside of files and takes many times as long.
        threads: that read.
        track: wraps the images as they come, for a progress bar.
    """
    places = [(split, index) for split, dataset in datasets.items() for index in range(len(dataset))]
    found: dict[str, list[Seen]] = {split: [] for split in datasets}
    with ThreadPoolExecutor(threads) as pool:
        for (split, _), seen in zip(places, track(_mapped(pool, lambda place: _seen(datasets, place, decode), places)), strict=True):
            found[split].append(seen)
    return found


def sizes(seen: Sequence[Seen]) -> Array:
    """(N, 2) int64 height and width, 0 of what cannot be read."""
    return np.array([one.glance.size if one.glance is not None else (0, 0) for one in seen], np.int64).reshape(-1, 2)


def problems(datasets: Mapping[str, DetectionDataset], seen: Mapping[str, Sequence[Seen]]) -> Iterator[Problem]:
    """What is wrong with the files of each split, and between them."""
    for split, dataset in datasets.items():
        yield from _unreadable(split, dataset, seen[split])
        yield from _other_sizes(split, dataset, seen[split])
    yield from _copies(datasets, seen)


def _seen(datasets: Mapping[str, DetectionDataset], place: Place, decode: bool) -> Seen:
    path = datasets[place[0]].image_path(place[1])
    try:
        found = glance(path)
        is_blank = False
        if decode:
            image = read_image(path)
            is_blank = image.min() == image.max()
            if image.shape[:2] != found.size:
                found = Glance((image.shape[0], image.shape[1]), found.num_bytes, found.digest)
        return Seen(found, is_blank=bool(is_blank))
    except DataError as error:
        return Seen(None, str(error), is_missing="no such image file" in str(error))


def _mapped(pool: ThreadPoolExecutor, function: Callable[[Place], Seen], places: Sequence[Place]) -> Iterator[Seen]:
    """As `map`, but only so many are under way: a million futures take a gigabyte."""
    rest = iter(places)
    waiting = [pool.submit(function, place) for place in islice(rest, AHEAD)]
    while waiting:
        yield waiting.pop(0).result()
        waiting += [pool.submit(function, place) for place in islice(rest, 1)]


def _unreadable(split: str, dataset: DetectionDataset, seen: Sequence[Seen]) -> Iterator[Problem]:
    missing = [one.error for one in seen if one.is_missing]
    broken = [one.error for one in seen if one.error and not one.is_missing]
    blank = [index for index, one in enumerate(seen) if one.is_blank]
    kinds: list[tuple[str, Severity, list[str], str, str, list[int]]] = [
        ("missing-images", "error", missing, "the file is not there", "copy it, or take it out of the annotations", []),
        ("broken-images", "error", broken, "the file cannot be read", "download it again, or set data.on_bad_image: skip", []),
        ("blank-images", "warning", [dataset.name(index) for index in blank], "all pixels are the same", "look at them", blank),
    ]
    for code, severity, examples, text, cure, shown in kinds:
        if examples:
            yield Problem(
                code=code,
                severity=severity,
                split=split,
                count=len(examples),
                total=len(dataset),
                what="images",
                text=text,
                cure=cure,
                examples=some(examples),
                offenders=tuple(Offender(split, index) for index in shown),
            )


def _other_sizes(split: str, dataset: DetectionDataset, seen: Sequence[Seen]) -> Iterator[Problem]:
    annotated, actual = dataset.annotations.image_sizes, sizes(seen)
    other = np.flatnonzero((annotated > 0).all(axis=1) & (actual > 0).all(axis=1) & (annotated != actual).any(axis=1))
    if not len(other):
        return
    turned = (annotated[other] == actual[other][:, ::-1]).all()
    cure = (
        "boxes were drawn on images without their EXIF rotation: remove it from the files (exiftool -Orientation=1 -n), or turn the boxes"
        if turned
        else "boxes were drawn on images of another size: take those images, or scale the boxes"
    )
    yield Problem(
        code="other-image-sizes",
        severity="error",
        split=split,
        count=len(other),
        total=len(dataset),
        what="images",
        text="the annotations say another size than the image has, so the boxes are elsewhere",
        cure=cure,
        examples=some([f"{dataset.name(i)}: {_text(annotated[i])} annotated, {_text(actual[i])} read" for i in other.tolist()]),
        offenders=tuple(Offender(split, i, tuple(range(*dataset.annotations.of_image(i).indices(1 << 60)))) for i in other.tolist()),
    )


def _copies(datasets: Mapping[str, DetectionDataset], seen: Mapping[str, Sequence[Seen]]) -> Iterator[Problem]:
    """Equal files: in both splits, where they make validation too good, and inside of one."""
    groups = _equal(datasets, seen)
    across = [group for group in groups if len({split for split, _ in group}) > 1]
    if across and "val" in datasets:
        held = [next(place for place in group if place[0] == "val") for group in across]
        twins = [next(place for place in group if place[0] == "train") for group in across]
        count = sum(split == "val" for group in across for split, _ in group)
        yield Problem(
            code="copies-across-splits",
            severity="error",
            split="both",
            count=count,
            total=len(datasets["val"]),
            what="images",
            text="images to validate with are also trained on, so AP is too high",
            cure="take them out of one split; `centernet data init --resplit` keeps copies together",
            examples=some(
                [f"{datasets['val'].name(b)} is {datasets['train'].name(a)}" for (_, a), (_, b) in zip(twins, held, strict=True)]
            ),
            offenders=tuple(Offender(*place) for pair in zip(twins, held, strict=True) for place in pair),
        )
    for split, dataset in datasets.items():
        inside = [[index for where, index in group if where == split] for group in groups]
        inside = [group for group in inside if len(group) > 1]
        if inside:
            count = sum(len(group) - 1 for group in inside)
            yield Problem(
                code="copies",
                severity="warning",
                split=split,
                count=count,
                total=len(dataset),
                what="images",
                text="images are there several times, and count several times",
                cure="keep one of each; where the boxes differ, the better one",
                examples=some([f"{dataset.name(group[1])} is {dataset.name(group[0])}" for group in inside]),
                offenders=tuple(Offender(split, index) for group in inside for index in group[:2]),
            )


def _equal(datasets: Mapping[str, DetectionDataset], seen: Mapping[str, Sequence[Seen]]) -> list[list[Place]]:
    """Groups of equal files; only those with equal ends are read as a whole."""
    alike: dict[tuple[int, bytes], list[Place]] = defaultdict(list)
    for split, images in seen.items():
        for index, one in enumerate(images):
            if one.glance is not None:
                alike[one.glance.num_bytes, one.glance.digest].append((split, index))
    groups: dict[bytes, list[Place]] = defaultdict(list)
    for places in alike.values():
        for split, index in places if len(places) > 1 else ():
            try:
                data = find_image(datasets[split].image_path(index)).read_bytes()
            except (OSError, DataError):  # gone since
                continue
            groups[hashlib.blake2b(data).digest()].append((split, index))
    return [group for group in groups.values() if len(group) > 1]


def _text(size: Array) -> str:
    return f"{size[0]}x{size[1]}"
