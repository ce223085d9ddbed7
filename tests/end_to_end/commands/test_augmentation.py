"""Training with transforms of the albumentations library, and with inputs of several sizes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from centernet.engine.graph import LossGraph
from centernet.structures import Array

Command = Callable[..., Any]
TRANSFORMS = [
    {"name": "HorizontalFlip"},
    {"name": "OneOf", "p": 0.8, "transforms": [{"name": "GaussNoise"}, {"name": "Affine", "rotate": [-30, 30]}]},
]
NO_VALIDATION = {"validate_losses": False, "validate_ap": False}


def losses(folder: Path) -> list[list[str]]:
    """The lines of `metrics.csv`, only what does not depend on the clock."""
    with (folder / "metrics.csv").open() as file:
        return [[value for key, value in row.items() if "loss" in key] for row in csv.DictReader(file)]


def test_transforms_vary_the_samples_alike_for_any_number_of_workers(
    centernet: Command, make_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = make_config(tmp_path / "tiny.yaml", epochs=1, **NO_VALIDATION)
    words = ["ctdet", "--train-config", config, "--data_dir", tmp_path / "shapes"]
    with_transforms = ["--set", f"data.augment.transforms={json.dumps(TRANSFORMS)}"]
    found = {}
    for name, more in {"plain": [], "0": with_transforms, "2": with_transforms}.items():
        workers = 0 if name == "plain" else int(name)
        centernet("train", *words, *more, "--set", f"data.workers={workers}", "-o", tmp_path / name)
        found[name] = losses(tmp_path / name)
    assert found["0"]
    assert found["0"][0]
    assert found["0"] == found["2"]
    assert found["0"] != found["plain"]
    assert "transforms:" in (tmp_path / "2" / "config.yaml").read_text()


def test_a_mistake_in_the_list_is_named_before_anything_is_written(
    centernet: Command, make_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = make_config(tmp_path / "tiny.yaml")
    words = ["ctdet", "--train-config", config, "--data_dir", tmp_path / "shapes", "-o", "out"]
    wrong = [{"name": "OneOf", "transforms": [{"name": "HorizontalFilp"}]}]
    ended = centernet("train", *words, "--set", f"data.augment.transforms={json.dumps(wrong)}", code=2)
    path = "data.augment.transforms.0.transforms.0.name"
    line = ended.err.splitlines()[-1]  # after that the shapes are drawn
    assert line == f"error: {path}: albumentations has no 'HorizontalFilp'; did you mean 'HorizontalFlip'?"
    ended = centernet("train", *words, "--set", "data.train_sizes=[[64, 64], [64, 70]]", code=2)
    assert ended.err.startswith("error: data.train_sizes.1: input size 64x70 (height x width): expected multiples of 32")
    assert not (tmp_path / "out").exists()


def test_each_epoch_has_one_of_the_sizes_and_all_have_their_turn(
    centernet: Command, make_config: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[tuple[int, ...]] = []
    feed = LossGraph.feed

    def recording(self: LossGraph, arrays: Mapping[str, Array], counts: Mapping[str, float]) -> None:
        fed.append(arrays["image"].shape)
        feed(self, arrays, counts)

    monkeypatch.setattr(LossGraph, "feed", recording)
    config = make_config(tmp_path / "tiny.yaml", epochs=6, **NO_VALIDATION)
    words = ["--data_dir", tmp_path / "shapes", "--set", "data.train_sizes=[[64, 64], [96, 64], [32, 96]]"]
    ended = centernet("train", "ctdet", "--train-config", config, *words, "-o", tmp_path / "out")
    assert "million parameters, inputs 64x64, 96x64, 32x96, one in an epoch; measured at 64x64\n" in ended.out
    assert len(fed) == 6 * 3
    epochs = [set(fed[start : start + 3]) for start in range(0, 18, 3)]
    assert all(len(shapes) == 1 for shapes in epochs)
    for turn in (epochs[:3], epochs[3:]):
        assert set.union(*turn) == {(4, 3, 64, 64), (4, 3, 96, 64), (4, 3, 32, 96)}
