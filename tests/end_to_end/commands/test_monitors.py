"""`train.monitors`: what each leaves in the output folder, once and again after a resume, and what is refused before training."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from centernet.engine.monitors import read_csv
from centernet.imaging.io import read_image

MakeConfig = Callable[..., Path]
ReadEvents = Callable[[Path], dict[str, list[tuple[int, Any]]]]


def set_to(monitors: str) -> tuple[str, str]:
    return "--set", f"train.monitors={monitors}"


def test_all_monitors_and_a_resume(centernet: Any, make_config: MakeConfig, tmp_path: Path, read_events: ReadEvents) -> None:
    pytest.importorskip("wandb")
    config = make_config(tmp_path / "x.yaml", pictures=3)
    out = tmp_path / "out"
    words = ("--train-config", config, "--data_dir", tmp_path / "data", "-o", out, *set_to("[csv, tensorboard, wandb]"))
    centernet("train", *words)
    before = {path.name: path.read_bytes() for path in (out / "pictures").iterdir()}
    centernet("train", *words, "--resume-from", "0")

    events = read_events(out / "tensorboard")
    assert [step for step, _ in events["step/loss"]] == [1, 2, 3, 4, 5, 6]
    validations = [row for row in read_csv(out / "metrics.csv") if row["kind"] == "validation"]
    assert [(step, f"{value:.5g}") for step, value in events["validation/loss"]] == [
        (int(row["iteration"]), f"{float(row['loss']):.5g}") for row in validations
    ]
    assert {path.name: path.read_bytes() for path in (out / "pictures").iterdir()} == before  # the same images and numbers again
    assert [png for _, png in events["pictures"]] == [before["epoch_0.png"], before["epoch_1.png"]]
    first, second = (cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR) for png in before.values())
    assert first.shape == second.shape
    assert (first != second).any()
    assert len(list((out / "wandb").glob("offline-run-*"))) == 2
    assert len({path.name.rpartition("-")[2] for path in (out / "wandb").glob("offline-run-*")}) == 1
    assert not (out / "tmp.monitor").exists()
    assert not (out / "curves.png").exists()


@pytest.mark.slow
def test_pictures_show_as_many_images_as_asked_for(centernet: Any, make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(tmp_path / "x.yaml", epochs=1)
    words = ("--train-config", config, "--data_dir", tmp_path / "data")
    heights = {}
    for number in (1, 3, 32):
        centernet("train", *words, "-o", tmp_path / str(number), "--set", f"train.pictures={number}")
        heights[number] = read_image(tmp_path / str(number) / "pictures" / "epoch_0.png").shape[0]
    row = (heights[3] - heights[1]) // 2
    assert row > 256
    assert heights[32] == heights[1] + 5 * row  # all six images of the validation split
    centernet("train", *words, "-o", tmp_path / "none", "--set", "train.pictures=0")
    assert not (tmp_path / "none" / "pictures").exists()


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_monitor_that_is_not_installed_is_refused_before_anything_is_written(
    centernet: Any, make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    config = make_config(tmp_path / "x.yaml")
    words = ("--train-config", config, "--data_dir", tmp_path / "data", "-o", tmp_path / "out", *set_to(f"[csv, {name}]"))
    error = centernet("train", *words, code=2).err
    assert f"train.monitors: {name} needs the package {package}" in error
    assert f"pip install '{package}>=" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "data").exists()


def test_a_monitor_nobody_knows_is_refused_with_those_there_are(centernet: Any, make_config: MakeConfig, tmp_path: Path) -> None:
    error = centernet("train", "--train-config", make_config(tmp_path / "x.yaml"), *set_to("[csv, tensorbord]"), code=2).err
    assert "train.monitors.1: found 'tensorbord'" in error
    assert "'nnabla', 'csv', 'tensorboard' or 'wandb'" in error


@pytest.mark.slow
def test_of_two_processes_one_writes(script: Any, make_config: MakeConfig, tmp_path: Path, read_events: ReadEvents) -> None:
    config = make_config(tmp_path / "x.yaml", pictures=2)
    words = ("--train-config", config, "--data_dir", tmp_path / "data", "-o", tmp_path / "out", *set_to("[csv, tensorboard]"))
    script("main.py", *words, processes=2)
    assert len(list((tmp_path / "out" / "tensorboard").iterdir())) == 1
    assert [step for step, _ in read_events(tmp_path / "out" / "tensorboard")["step/loss"]] == [1, 2, 3, 4, 5, 6]
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 2
