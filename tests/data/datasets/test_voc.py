from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from centernet.data.datasets import voc
from centernet.data.datasets.voc import Config, VocSplit
from centernet.errors import DataError
from centernet.imaging import io

XML = """<annotation><size><width>30</width><height>20</height></size>
<object><name>{name}</name><difficult>{difficult}</difficult>
<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that is a devkit itself: `zebra` occurs in the training list only, `cat` in the other."""
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (tmp_path / folder).mkdir(parents=True)
    for stem, name, difficult in (("a", "zebra", 0), ("b", "cat", 1)):
        (tmp_path / "Annotations" / f"{stem}.xml").write_text(XML.format(name=name, difficult=difficult))
        io.write_image(tmp_path / "JPEGImages" / f"{stem}.jpg", np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("b\n")
    return tmp_path


DEVKIT = Config(train=VocSplit(image_sets=("train",)), val=VocSplit(image_sets=("val",)))


def test_both_splits_number_the_classes_of_either_alike(root: Path) -> None:
    train, val = (voc.open_split(DEVKIT, root, split) for split in ("train", "val"))
    assert train.classes == val.classes
    assert train.classes.names == ("cat", "zebra")
    assert train.sample(0).class_ids.tolist() == [1]
    assert val.sample(0).class_ids.tolist() == [0]
    assert val.sample(0).image.shape == (20, 30, 3)
    assert val.sample(0).boxes.tolist() == [[2, 3, 9, 8]]


def test_named_classes_keep_their_order_and_need_not_occur(root: Path) -> None:
    config = Config(train=DEVKIT.train, val=DEVKIT.val, classes=("zebra", "dog", "cat"))
    assert voc.open_split(config, root, "val").sample(0).class_ids.tolist() == [2]


def test_difficult_objects_can_be_left_out_of_training(root: Path) -> None:
    config = Config(train=DEVKIT.train, val=DEVKIT.val, keep_difficult=False)
    dataset = voc.open_split(config, root, "val")
    assert dataset.sample(0).boxes.shape == (0, 4)
    assert dataset.annotations.is_difficult.tolist() == [True]


def test_a_devkit_below_the_data_folder_is_named_by_its_folder(root: Path) -> None:
    config = Config(train=VocSplit(folders=(root.name,), image_sets=("train",)), val=VocSplit(folders=(root.name,), image_sets=("val",)))
    assert voc.open_split(config, root.parent, "train").image_path(0) == root / "JPEGImages" / "a.jpg"


def test_a_split_missing_for_the_class_names_says_how_to_do_without(root: Path) -> None:
    (root / "ImageSets" / "Main" / "train.txt").unlink()
    with pytest.raises(DataError, match=r"train\.txt: .*without 'classes' in the configuration both splits are read"):
        voc.open_split(DEVKIT, root, "val")
    config = Config(train=DEVKIT.train, val=DEVKIT.val, classes=("cat",))
    assert len(voc.open_split(config, root, "val")) == 1


def test_the_defaults_are_the_predecessor_s_json_files(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    tree = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 20, "width": 30}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "ignore": 1}],
        "categories": [{"id": 1, "name": "aeroplane"}],
    }
    for name in ("pascal_trainval0712", "pascal_test2007"):
        (tmp_path / "annotations" / f"{name}.json").write_text(json.dumps(tree))
    for split in ("train", "val"):
        dataset = voc.open_split(Config(), tmp_path, split)
        assert dataset.image_folder == tmp_path / "images"
        assert dataset.annotations.is_difficult.tolist() == [True]
        assert dataset.normalization.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"images": "images"}, "either 'images' and 'annotations'"),
        ({}, "either 'images' and 'annotations'"),
        ({"images": "images", "annotations": "a.json", "image_sets": ["train"]}, "either 'images' and 'annotations'"),
        ({"image_sets": ["train", "val"]}, "1 folders but 2 image_sets"),
    ],
)
def test_a_split_is_one_of_the_two_forms(section: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        TypeAdapter(Config).validate_json(json.dumps({"train": section}), strict=True)


def test_the_real_blood_cells_open_through_configuration_alone(real_data: Path) -> None:
    text = '{"train": {"image_sets": ["train"]}, "val": {"image_sets": ["val"]}}'
    config = TypeAdapter(Config).validate_json(text, strict=True)
    train, val = (voc.open_split(config, real_data / "bccd", split) for split in ("train", "val"))
    assert (len(train), len(val)) == (205, 87)
    assert train.classes.names == val.classes.names == ("Platelets", "RBC", "WBC")
    sample = val.sample(5)
    assert sample.image.shape == (480, 640, 3)
    assert len(sample.boxes) > 0
