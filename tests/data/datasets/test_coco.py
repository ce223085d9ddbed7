from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from centernet.data.datasets import coco
from centernet.data.datasets.base import JsonSplit
from centernet.errors import DataError

SPLIT = JsonSplit(images="images", annotations="annotations.json")


def test_the_defaults_are_coco_2017() -> None:
    config = coco.Config()
    assert (config.train.images, config.train.annotations) == ("train2017", "annotations/instances_train2017.json")
    assert (config.val.images, config.val.annotations) == ("val2017", "annotations/instances_val2017.json")
    assert config.mean[0] == pytest.approx(0.40789654)


def test_any_data_set_is_named_in_yaml_and_its_classes_come_from_the_data(coco_root: Path) -> None:
    text = json.dumps({split: {"images": "images", "annotations": "annotations.json"} for split in ("train", "val")} | {"mean": [0, 0, 0]})
    config = TypeAdapter(coco.Config).validate_json(text, strict=True)
    dataset = coco.open_split(config, coco_root, "val")
    assert dataset.classes.names == ("cat", "zebra")
    assert dataset.normalization.mean == (0, 0, 0)
    assert dataset.sample(0).class_ids.tolist() == [0]


def test_classes_and_crowds_can_be_chosen(coco_root: Path) -> None:
    config = coco.Config(train=SPLIT, val=SPLIT, classes=("zebra",), keep_crowd=False)
    dataset = coco.open_split(config, coco_root, "train")
    assert dataset.classes.category_ids == (90,)
    assert dataset.sample(1).boxes.shape == (0, 4)


def test_missing_files_are_named(coco_root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the data folder does not exist"):
        coco.open_split(coco.Config(), tmp_path / "gone", "train")
    with pytest.raises(DataError, match=r"instances_train2017\.json: the annotation file does not exist"):
        coco.open_split(coco.Config(), coco_root, "train")


@pytest.mark.parametrize(
    "text", ['{"train": {"images": "a"}}', '{"classes": []}', '{"std": [1, 1, 0]}', '{"mean": [1, 1]}', '{"keep_crowd": "yes"}']
)
def test_impossible_settings_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(coco.Config).validate_json(text, strict=True)
