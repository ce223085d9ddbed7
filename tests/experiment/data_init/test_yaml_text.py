"""What the YAML of a data set says: an input that shows its boxes, and settings that its numbers ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from centernet import config
from centernet.experiment.data_init.yaml_text import Facts, input_side, yaml_text
from centernet.experiment.schema import ExperimentConfig

FACTS = Facts(
    root=Path('/data/my: "data" #1'),
    plugin="coco",
    train={"images": ".", "annotations": "centernet/train.json"},
    val={"images": ".", "annotations": "centernet/val.json"},
    classes=["no", "5", "a: b"],
    num_train=1000,
    most_objects=7,
    box_sides=np.array([0.1] * 10),
    largest_image=1000,
)


def read(facts: Facts, tmp_path: Path) -> ExperimentConfig:
    (tmp_path / "x.yaml").write_text(yaml_text(facts, heading="Made here"))
    return config.validate(ExperimentConfig, config.read_yaml(tmp_path / "x.yaml"), source="x.yaml")


def test_names_that_yaml_would_take_for_something_else_stay_names(tmp_path: Path) -> None:
    experiment = read(FACTS, tmp_path)
    assert experiment.data.root == str(FACTS.root)
    assert experiment.data.dataset.classes == ("no", "5", "a: b")


@pytest.mark.parametrize(
    ("share", "largest", "side"),
    [(0.2, 4000, 256), (0.05, 4000, 320), (0.001, 4000, 768), (0.001, 300, 320), (0.001, 0, 768)],
)
def test_the_input_shows_small_boxes_but_no_more_than_the_images_have(share: float, largest: int, side: int) -> None:
    assert input_side(np.array([share] * 5), largest_image=largest)[0] == side


def test_without_boxes_of_known_size_the_input_is_small() -> None:
    assert input_side(np.zeros(0), largest_image=0)[0] == 256


@pytest.mark.parametrize(("images", "epochs", "batch"), [(3, 300, 2), (12, 300, 8), (1000, 24, 16), (100_000, 20, 16)])
def test_epochs_and_batch_follow_the_number_of_images(tmp_path: Path, images: int, epochs: int, batch: int) -> None:
    train = read(replace(FACTS, num_train=images), tmp_path).train
    assert (train.epochs, train.global_batch_size) == (epochs, batch)


def test_crowded_images_get_the_slots_they_need(tmp_path: Path) -> None:
    experiment = read(replace(FACTS, most_objects=210), tmp_path)
    assert experiment.task.max_objects == 224
    assert experiment.test.k == 250
    assert read(FACTS, tmp_path).task.max_objects == 128
