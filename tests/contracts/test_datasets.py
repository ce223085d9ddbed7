"""What every data set plug-in promises, tried on two images for each file in the folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from centernet import plugins
from centernet.data.datasets.base import DetectionDataset, Split
from centernet.errors import DataError
from centernet.imaging import io

PACKAGE = "centernet.data.datasets"
SPLITS: tuple[Split, ...] = ("train", "val")
XML = """<annotation><size><width>50</width><height>40</height></size><object><name>{name}</name>
<bndbox><xmin>5</xmin><ymin>6</ymin><xmax>25</xmax><ymax>36</ymax></bndbox></object></annotation>"""


def _write_images(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, level in (("1.jpg", 50), ("2.jpg", 200)):
        io.write_image(folder / name, np.full((40, 50, 3), level, np.uint8))


def _coco(root: Path) -> dict[str, Any]:
    _write_images(root / "images")
    tree = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "height": 40, "width": 50} for i in (1, 2)],
        "annotations": [{"id": 1, "image_id": 2, "category_id": 30, "bbox": [5, 6, 20, 30], "area": 600, "iscrowd": 0}],
        "categories": [{"id": 30, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (root / "annotations.json").write_text(json.dumps(tree))
    return {split: {"images": "images", "annotations": "annotations.json"} for split in SPLITS}


def _devkit(root: Path) -> dict[str, Any]:
    _write_images(root / "JPEGImages")
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for stem, name in (("1", "cat"), ("2", "dog")):
        (root / "Annotations" / f"{stem}.xml").write_text(XML.format(name=name))
    (root / "ImageSets" / "Main" / "both.txt").write_text("1\n2\n")
    return {split: {"image_sets": ["both"]} for split in SPLITS}


def _shapes(root: Path) -> dict[str, Any]:
    return {"num_train": 2, "num_val": 2, "image_size": 64}


# plug-in -> the ways to write two images for it; each returns the options of its YAML section.
FIXTURES: dict[str, list[Callable[[Path], dict[str, Any]]]] = {"coco": [_coco], "voc": [_coco, _devkit], "shapes": [_shapes]}
CASES = [(name, write) for name in plugins.names(PACKAGE) for write in FIXTURES.get(name, [])]


@pytest.fixture(params=CASES, ids=[f"{name}-{write.__name__.strip('_')}" for name, write in CASES])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, dict[Split, DetectionDataset]]:
    name, write = request.param
    root = tmp_path / "data"
    plugin = plugins.load(PACKAGE, name)
    if write is not _shapes:  # rendered data make their own folder
        root.mkdir()
    config = TypeAdapter(plugin.Config).validate_json(json.dumps(write(root)), strict=True)
    return name, root, {split: plugin.open_split(config, root, split) for split in SPLITS}


def test_every_data_set_has_a_fixture_here() -> None:
    assert set(FIXTURES) == set(plugins.names(PACKAGE))


@pytest.mark.parametrize("name", plugins.names(PACKAGE))
def test_the_configuration_has_defaults_is_frozen_and_knows_its_keys(name: str) -> None:
    config_class = plugins.load(PACKAGE, name).Config
    config = config_class()
    assert plugins.name_of(config) == name
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.mean = (0, 0, 0)
    with pytest.raises(ValidationError):
        TypeAdapter(config_class).validate_json('{"no_such_key": 1}', strict=True)
    written = TypeAdapter(config_class).dump_json(config)
    assert TypeAdapter(config_class).validate_json(written, strict=True) == config


def test_both_splits_have_their_images_and_the_same_classes(opened: tuple[str, Path, dict[Split, DetectionDataset]]) -> None:
    _, _, splits = opened
    assert {len(dataset) for dataset in splits.values()} == {2}
    assert splits["train"].classes == splits["val"].classes
    assert len(splits["train"].classes) >= 2


def test_samples_are_images_with_boxes_and_class_ids_within_the_table(opened: tuple[str, Path, dict[Split, DetectionDataset]]) -> None:
    _, _, splits = opened
    for dataset in splits.values():
        for index in range(2):
            sample = dataset.sample(index)
            assert sample.image.ndim == 3
            assert sample.image.shape[2] == 3
            assert sample.image.dtype == np.uint8
            assert sample.boxes.shape == (len(sample.class_ids), 4)
            assert np.isin(sample.class_ids, range(len(dataset.classes))).all()
            assert sample.name == str(dataset.image_path(index))
            assert dataset.image_path(index).is_file()
            height, width = dataset.annotations.image_sizes[index]
            assert (height, width) == sample.image.shape[:2]
        assert len(dataset.annotations.boxes) > 0
        assert all(std > 0 for std in dataset.normalization.std)


def test_opening_again_gives_the_same(opened: tuple[str, Path, dict[Split, DetectionDataset]]) -> None:
    _, _, splits = opened
    for dataset in splits.values():
        first, second = dataset.sample(1), dataset.sample(1)
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(first.boxes, second.boxes)


def test_a_missing_image_is_an_error_that_names_it(opened: tuple[str, Path, dict[Split, DetectionDataset]]) -> None:
    _, _, splits = opened
    path = splits["train"].image_path(0)
    path.unlink()
    with pytest.raises(DataError, match=path.name):
        splits["train"].sample(0)
