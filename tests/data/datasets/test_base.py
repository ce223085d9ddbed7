from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.data.coco_json import read_coco_json
from centernet.data.datasets.base import DetectionDataset, assemble, data_folder
from centernet.errors import DataError
from centernet.imaging import io
from centernet.structures import Normalization

PLAIN = Normalization((0, 0, 0), (1, 1, 1))


def _open(root: Path, **arguments: bool) -> DetectionDataset:
    table = read_coco_json(root / "annotations.json")
    return assemble(table, split="train", classes=None, image_folder=root / "images", normalization=PLAIN, **arguments)


def test_a_sample_is_the_image_and_its_objects_as_annotated(coco_root: Path) -> None:
    dataset = _open(coco_root)
    sample = dataset.sample(1)
    assert len(dataset) == 2
    assert sample.image.shape == (30, 20, 3)
    assert sample.boxes.tolist() == [[1, 2, 11, 22], [5, 5, 5, 14]]
    assert sample.class_ids.tolist() == [1, 0]
    assert sample.name == str(dataset.image_path(1)) == str(coco_root / "images" / "b.png")


def test_crowd_and_difficult_objects_are_part_of_a_sample_unless_told_otherwise(coco_root: Path) -> None:
    assert _open(coco_root, keep_crowd=False).sample(1).class_ids.tolist() == [0]
    assert _open(coco_root, keep_difficult=False).sample(1).class_ids.tolist() == [1]
    neither = _open(coco_root, keep_crowd=False, keep_difficult=False)
    assert neither.sample(1).boxes.shape == (0, 4)
    assert len(neither.annotations.boxes) == 3  # evaluation still sees them


def test_a_missing_image_and_a_file_that_is_none_are_named(coco_root: Path) -> None:
    dataset = _open(coco_root)
    (coco_root / "images" / "a.png").unlink()
    (coco_root / "images" / "b.png").write_text("not an image")
    for index, name in ((0, "a.png"), (1, "b.png")):
        with pytest.raises(DataError, match=name):
            dataset.sample(index)


def test_an_upper_case_suffix_on_disk_is_found(coco_root: Path) -> None:
    (coco_root / "images" / "a.png").rename(coco_root / "images" / "a.PNG")
    assert _open(coco_root).sample(0).image.shape == (40, 60, 3)


def test_a_missing_image_folder_and_data_folder_are_named(coco_root: Path) -> None:
    (coco_root / "images").rename(coco_root / "pictures")
    with pytest.raises(DataError, match=r"images: the image folder of .*annotations\.json does not exist"):
        _open(coco_root)
    with pytest.raises(DataError, match=r"gone: the data folder does not exist; .*--data_dir"):
        data_folder(coco_root / "gone")


def test_training_data_without_any_object_are_an_error(coco_root: Path) -> None:
    (coco_root / "annotations.json").write_text(
        '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}'
    )
    with pytest.raises(DataError, match="none of its 1 images has an object"):
        _open(coco_root)
    table = read_coco_json(coco_root / "annotations.json")
    held_out = assemble(table, split="val", classes=None, image_folder=coco_root / "images", normalization=PLAIN)
    assert held_out.sample(0).boxes.shape == (0, 4)


def test_a_grey_image_has_three_channels(coco_root: Path) -> None:
    io.write_image(coco_root / "images" / "a.png", np.full((40, 60), 77, np.uint8))
    image = _open(coco_root).sample(0).image
    assert image.shape == (40, 60, 3)
    assert (image == 77).all()
