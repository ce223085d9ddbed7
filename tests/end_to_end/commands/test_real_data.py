"""A data set nobody wrote code for: YAML names its folders, and it is trained, measured and drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

CONFIG = """\
task: {{name: ctdet}}
data:
  dataset:
    name: voc
    train: {{folders: [.], image_sets: [{train}]}}
    val: {{folders: [.], image_sets: [{val}]}}
  input_size: [{height}, {width}]
model:
  backbone: {{name: resnet, num_layers: 18, width: 0.125}}
  neck: {{name: deconv, width: 0.125}}
  head: {{name: conv, hidden_channels: 8}}
  pretrained_model_dir: null
train:
  epochs: 2
  batch_size: 4
  schedule: {{base_lr: 1e-3, warmup_epochs: 0}}
  validate_every: 1
"""


@pytest.fixture
def excerpt(real_data: Path, tmp_path: Path) -> Path:
    """The devkit with short lists beside its own files."""
    root = tmp_path / "excerpt"
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).symlink_to(real_data / "bccd" / folder)
    for name, count in (("train", 8), ("test", 4)):
        lines = (real_data / "bccd" / "ImageSets" / "Main" / f"{name}.txt").read_text().splitlines()
        (lists / f"few_{name}.txt").write_text("\n".join(lines[:count]) + "\n")
    return root


def test_a_voc_folder_is_trained_measured_and_drawn_through_yaml_alone(excerpt: Path, centernet: Command, tmp_path: Path) -> None:
    config = tmp_path / "cells.yaml"
    config.write_text(CONFIG.format(train="few_train", val="few_test", height=64, width=96))
    train_test_draw(centernet, config, excerpt, tmp_path, num_train=8, num_val=4)


@pytest.mark.slow
def test_the_whole_of_a_real_data_set(real_data: Path, centernet: Command, tmp_path: Path) -> None:
    config = tmp_path / "cells.yaml"
    config.write_text(CONFIG.format(train="trainval", val="test", height=96, width=128))
    train_test_draw(centernet, config, real_data / "bccd", tmp_path, num_train=292, num_val=72)


def train_test_draw(centernet: Command, config: Path, data: Path, folder: Path, *, num_train: int, num_val: int) -> None:
    trained = centernet("train", "ctdet", "--data_dir", data, "--train-config", config, "-o", folder / "out")
    assert f"{num_train} images to train, {num_val} to validate, 3 classes" in trained.out
    losses = [float(line.split()[1]) for line in (folder / "out/tmp.monitor/Training-Loss.series.txt").read_text().splitlines()]
    assert len(losses) == 2
    assert losses[1] < losses[0]

    model = folder / "out" / "checkpoints" / "params_best.h5"
    tested = centernet("test", "--checkpoint", model, "--data_dir", data, "-o", folder / "test")
    results = json.loads((folder / "test" / "results.json").read_text())
    assert results["protocol"]["metric"] == "voc"
    assert results["protocol"]["images"] == num_val
    assert set(results["per_class"]) == {"Platelets", "RBC", "WBC"}
    assert 0 <= results["AP"] <= 1
    for name in ("AP", "Platelets", "RBC", "WBC"):
        assert name in tested.out

    image = data / "JPEGImages" / "BloodImage_00007.jpg"
    drawn = centernet("demo", "--checkpoint", model, "--demo", image, "-o", folder / "demo", "--vis_thresh", "0.05")
    assert "1 images" in drawn.out
    (found,) = [json.loads(text) for text in (folder / "demo" / "detections.jsonl").read_text().splitlines()]
    assert (found["height"], found["width"]) == (480, 640)
    assert (folder / "demo" / "BloodImage_00007.jpg").is_file()


def test_a_real_folder_is_initialised_and_its_known_faults_are_found(real_data: Path, centernet: Command) -> None:
    """Two of its annotations have no area; the folder itself may be read-only."""
    folder = real_data / "bccd"
    assert "Pascal VOC XML; its own split: 205 and 87 images" in centernet("data", "init", folder, "-o", "cells.yaml").out
    found = json.loads(centernet("data", "check", "cells.yaml", "--json", "--no-decode").out)
    assert found["ok"]
    empty = {problem["split"]: problem["examples"] for problem in found["problems"] if problem["code"] == "empty-boxes"}
    assert list(empty) == ["train", "val"]
    assert "BloodImage_00343.jpg" in empty["train"][0]
    assert "BloodImage_00338.jpg" in empty["val"][0]
    again = centernet("data", "init", folder, "-o", "split.yaml", "--resplit", "--converted", "here").out
    assert "wrote " in again
    assert json.loads(centernet("data", "check", "split.yaml", "--json", "--no-decode").out)["num_images"] == {"train": 233, "val": 59}
