"""The images held out: of every class its share, always the same ones, twins together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.data.foreign.holdout import groups_of, held_out
from centernet.structures import Array


def scene(num_images: int) -> tuple[Array, Array, list[str]]:
    """Many of class 0 in every image, some of class 1, few of class 2."""
    rng = np.random.default_rng(0)
    index, categories = [], []
    for image in range(num_images):
        objects = [0] * rng.integers(3, 9) + [1] * rng.integers(0, 3) + [2] * int(rng.random() < 0.1)
        index += [image] * len(objects)
        categories += objects
    return np.array(index), np.array(categories), [f"{number}.jpg" for number in range(num_images)]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_every_class_has_its_share_held_out(share: float) -> None:
    index, categories, names = scene(300)
    held = held_out(range(300), index, categories, names, share=share, seed=1)
    assert held.mean() == pytest.approx(share, abs=0.02)
    for category in range(3):
        assert held[index[categories == category]].mean() == pytest.approx(share, abs=0.04)


def test_the_split_is_a_function_of_names_and_seed() -> None:
    index, categories, names = scene(50)
    first = held_out(range(50), index, categories, names, share=0.2, seed=1)
    assert (first == held_out(range(50), index, categories, names, share=0.2, seed=1)).all()
    assert (first != held_out(range(50), index, categories, names, share=0.2, seed=2)).any()


def test_a_group_stays_together() -> None:
    index, categories, names = scene(40)
    groups = [number // 4 for number in range(40)]
    held = held_out(groups, index, categories, names, share=0.3, seed=1)
    assert held.any()
    assert (held.reshape(10, 4) == held.reshape(10, 4)[:, :1]).all()


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_neither_side_is_empty(share: float) -> None:
    held = held_out([0, 1], np.array([0, 1]), np.array([0, 0]), ["a", "b"], share=share, seed=1)
    assert held.sum() == 1


def test_images_without_objects_are_shared_out_too() -> None:
    none = np.zeros(0, np.int64)
    held = held_out(range(100), none, none, [str(number) for number in range(100)], share=0.2, seed=1)
    assert held.sum() == 20


def test_copies_and_variants_are_of_one_group(tmp_path: Path) -> None:
    contents = {"a.jpg": b"one", "b.jpg": b"one", "c.jpg": b"two", "d_jpg.rf.0123456789.jpg": b"x1", "d_jpg.rf.abcdef0123.jpg": b"x23"}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    a, b, c, d, e = groups_of([tmp_path / name for name in contents])
    assert a == b
    assert d == e
    assert len({a, c, d}) == 3
