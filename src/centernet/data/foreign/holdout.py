"""Choose the images that are held out: always the same ones, every class in its share, and twins never apart."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from centernet.structures import Array

_ROBOFLOW = re.compile(r"\.rf\.[0-9a-fA-F]{6,}$")  # what Roboflow adds to each of its variants of an image


def held_out(groups: Sequence[int], image_index: Array, category_of: Array, names: Sequence[str], *, share: float, seed: int) -> Array:
    """Which images to hold out, so that every class has about its share there: groups with the rarest class first, each to where it
    leaves the shares of all classes, and that of the images, nearest to what is asked for.

    Args:
        groups: for each of N images the number of its group, which stays together.
        image_index, category_of: (M,) of each object its image and its category.
        names: of the images; with `seed` all that chance depends on, so that images added later move few others.
        share: in (0, 1).

    Returns:
        (N,) bool; at least one image is held out and at least one is not, where there are two groups.
    """
    group_of = np.unique(np.asarray(groups), return_inverse=True)[1]
    num_groups, num_categories = int(group_of.max(initial=-1)) + 1, int(category_of.max(initial=-1)) + 1
    counts = np.zeros((num_groups, num_categories + 1))
    np.add.at(counts, (group_of[image_index], category_of), 1)
    np.add.at(counts[:, -1], group_of, 1)  # the images themselves are the last "class"
    first_names: dict[int, str] = {}
    for group, name in zip(group_of.tolist(), names, strict=True):
        first_names[group] = min(name, first_names.get(group, name))
    chance = np.array([_chance(first_names[group], seed) for group in range(num_groups)])
    total = np.maximum(counts.sum(axis=0), 1)
    rarest = np.where(counts > 0, total, np.inf).min(axis=1)
    held, seen = np.zeros(num_categories + 1), np.zeros(num_categories + 1)
    side = np.zeros(num_groups, np.int64)
    for group in np.lexsort((chance, rarest)):
        seen += counts[group]
        left, taken = ((((number - share * seen) / total) ** 2).sum() for number in (held, held + counts[group]))
        if taken < left:
            side[group] = 1
            held += counts[group]
    if num_groups > 1 and side.min() == side.max():
        side[np.argmin(chance)] = 1 - side[0]
    return np.asarray(side[group_of] == 1)


def groups_of(paths: Sequence[Path]) -> list[int]:
    """A number for each image, the same for copies of a file and for Roboflow's variants of one image."""
    by_size: dict[int, list[int]] = defaultdict(list)
    parent = list(range(len(paths)))
    by_origin: dict[str, int] = {}
    for number, path in enumerate(paths):
        by_size[path.stat().st_size].append(number)
        if _ROBOFLOW.search(path.stem):
            parent[number] = by_origin.setdefault(_ROBOFLOW.sub("", path.stem), number)
    for numbers in by_size.values():
        if len(numbers) > 1:
            first: dict[bytes, int] = {}
            for number in numbers:
                twin = first.setdefault(hashlib.sha256(paths[number].read_bytes()).digest(), number)
                parent[_root(parent, number)] = _root(parent, twin)
    return [_root(parent, number) for number in range(len(paths))]


def _root(parent: list[int], number: int) -> int:
    while parent[number] != number:
        number = parent[number]
    return number


def _chance(name: str, seed: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:6], "big") / 2**48
