"""Contact sheets of training samples: the pixels, boxes and peaks the network is really fed with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet import config as configuration
from centernet.data.loader import Loader
from centernet.data.pipeline import Pipeline
from centernet.errors import DataError, OutputError
from centernet.experiment.assembly import assemble, open_split
from centernet.experiment.schema import ExperimentConfig
from centernet.experiment.show import TILE_HEIGHT, show
from centernet.imaging.draw import class_color
from centernet.imaging.io import read_image, write_image
from centernet.structures import Array

BLUE_GREEN_RED = (60, 120, 200)
CENTER = (34, 42)  # x, y of the only object of each image, in the middle of a cell of 4 pixels
BOX = [18, 34, 32, 16]  # xywh around it

Make = Callable[..., ExperimentConfig]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """An experiment on plain images of 64x64 with one object each, of the second class; `data` are further keys of its section."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def build(num_images: int = 1, **data: Any) -> ExperimentConfig:
        images = [{"id": i, "file_name": f"{i:04}.png", "height": 64, "width": 64} for i in range(num_images)]
        objects = [{"id": i + 1, "image_id": i, "category_id": 2, "bbox": BOX, "area": 512, "iscrowd": 0} for i in range(num_images)]
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        for image in images:
            write_image(tmp_path / "images" / str(image["file_name"]), np.full((64, 64, 3), BLUE_GREEN_RED, np.uint8))
        (tmp_path / "all.json").write_text(json.dumps({"images": images, "annotations": objects, "categories": categories}))
        split = {"images": "images", "annotations": "all.json"}
        tree = {
            "task": {"name": "ctdet"},
            "data": {
                "dataset": {"name": "coco", "train": split, "val": split},
                "root": str(tmp_path),
                "input_size": [64, 64],
                **data,
            },
            "model": {
                "backbone": {"name": "resnet", "num_layers": 18, "width": 0.125},
                "neck": {"name": "deconv", "width": 0.125},
                "head": {"name": "conv", "hidden_channels": 8},
            },
            "train": {"batch_size": 4, "precision": {"pad_input_to": 4, "channel_last": True}},  # which are not what is shown
        }
        return configuration.validate(ExperimentConfig, tree, source="test")

    return build


def extent(is_there: Array) -> tuple[int, ...]:
    """Left, top, right and bottom of the places that are true."""
    rows, columns = np.nonzero(is_there)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def is_color(picture: Array, color: tuple[int, ...], *, within: int) -> Array:
    return np.asarray((np.abs(picture.astype(int) - color) <= within).all(axis=2))


def test_without_augmentation_a_sample_is_the_image_with_its_box(make: Make, tmp_path: Path) -> None:
    shown = show(make(augment=None), tmp_path / "out", num_samples=1)
    assert shown.files == (tmp_path / "out" / "samples_1.png", tmp_path / "out" / "heatmap_1.png")
    sheet = read_image(shown.files[0])
    left, top, right, bottom = extent(is_color(sheet, BLUE_GREEN_RED, within=1))
    assert (right - left, bottom - top) == (TILE_HEIGHT, TILE_HEIGHT)
    tile = sheet[top:bottom, left:right]
    zoom = TILE_HEIGHT / 64
    box = np.array([BOX[0], BOX[1], BOX[0] + BOX[2], BOX[1] + BOX[3]]) * zoom
    x1, y1, x2, y2 = box.astype(int)
    for x, y in ((x1, (y1 + y2) // 2), (x2, (y1 + y2) // 2), ((x1 + x2) // 2, y2)):
        assert tuple(tile[y, x]) == class_color(1)


def test_the_target_glows_in_its_classes_colour_where_the_object_is(make: Make, tmp_path: Path) -> None:
    sheet = read_image(show(make(augment=None), tmp_path / "out", num_samples=1).files[1])
    x1, y1, x2, y2 = extent(is_color(sheet, class_color(1), within=12))
    faded = tuple(round(0.45 * level + 0.55 * 255) for level in BLUE_GREEN_RED)
    left, top, right, _ = extent(is_color(sheet, faded, within=1))
    zoom = (right - left) / 64
    assert ((x1 + x2) / 2 - left) / zoom == pytest.approx(CENTER[0], abs=1)
    assert ((y1 + y2) / 2 - top) / zoom == pytest.approx(CENTER[1], abs=1)


def test_the_samples_are_those_an_epoch_begins_with(make: Make, tmp_path: Path) -> None:
    config = make(9)
    dataset = open_split(config.data, "train")
    assembly = assemble(config, dataset.classes, dataset.normalization)
    loader = Loader(Pipeline(dataset, assembly.grid, assembly.task.encode), global_batch=4, seed=config.train.seed)
    for epoch in (0, 3):
        shown = show(config, tmp_path / "out", num_samples=4, epoch=epoch)
        assert list(shown.names) == next(iter(loader.epoch(epoch))).names


def test_another_epoch_is_another_view_and_the_same_one_the_same_picture(make: Make, tmp_path: Path) -> None:
    config = make()
    pictures = [read_image(show(config, tmp_path / "out", num_samples=1, epoch=epoch).files[0]) for epoch in (0, 0, 1)]
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] != pictures[2]).any()


def test_a_mosaic_is_drawn_with_the_objects_of_all_its_images(make: Make, tmp_path: Path) -> None:
    still = {"random_crop": False, "shift": 0, "scale": 0, "flip": 0, "color": False}
    for mosaic, is_wide in ((None, False), ({"probability": 1, "center": [0.5, 0.5], "zoom": [0.5, 0.5]}, True)):
        sheet = read_image(show(make(4, augment={**still, "mosaic": mosaic}), tmp_path / "out", num_samples=1).files[1])
        x1, y1, x2, y2 = extent(is_color(sheet, class_color(1), within=12))
        assert (min(x2 - x1, y2 - y1) > TILE_HEIGHT / 2) == is_wide


def test_many_samples_take_several_sheets_and_few_images_give_fewer_samples(make: Make, tmp_path: Path) -> None:
    shown = show(make(14), tmp_path / "out", num_samples=99)
    assert len(shown.names) == len(set(shown.names)) == 14
    assert [path.name for path in shown.files] == ["samples_1.png", "samples_2.png", "heatmap_1.png", "heatmap_2.png"]
    assert read_image(shown.files[0]).shape[1] == read_image(shown.files[1]).shape[1] * 2 - TILE_HEIGHT // 20  # 4 columns and 2
    wide = show(make(14, input_size=[32, 256]), tmp_path / "out", num_samples=4)
    assert [path.name for path in wide.files] == ["samples_1.png", "samples_2.png", "heatmap_1.png", "heatmap_2.png"]


def test_an_image_that_cannot_be_read_is_an_error_or_named(make: Make, tmp_path: Path) -> None:
    config = make(3, on_bad_image="skip")
    for name in ("0000.png", "0001.png"):
        (tmp_path / "images" / name).write_bytes(b"not a picture")
    shown = show(config, tmp_path / "out", num_samples=3)
    assert [Path(name).name for name in shown.names] == ["0002.png"] * 3
    assert len(shown.skipped) == 2  # each once, though sample 0 passes over image 1 too
    assert all(any(name in text for text in shown.skipped) for name in ("0000.png", "0001.png"))
    config = make(2)
    (tmp_path / "images" / "0001.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"0001\.png"):
        show(config, tmp_path / "out", num_samples=2)


def test_a_folder_that_cannot_be_made_is_an_error(make: Make, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="the output folder cannot be made"):
        show(make(), tmp_path / "file" / "out", num_samples=1)
