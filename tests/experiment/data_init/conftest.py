"""Folders as tools leave them, all of the same twenty small images: a cat in each, a dog in every fourth."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.imaging.io import write_image

HEIGHT, WIDTH, COUNT = 48, 64, 20
CLASSES = ("cat", "dog")
Objects = Sequence[tuple[str, tuple[int, int, int, int]]]
Lay = Callable[[Path], None]

XML = "<annotation><filename>{name}</filename><size><width>64</width><height>48</height></size>{objects}</annotation>"
XML_OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def objects(number: int) -> Objects:
    """(class, xyxy) of the objects of an image; the boxes differ from image to image."""
    cat = ("cat", (number, 4, number + 16, 24))
    return [cat, ("dog", (30, number, 50, number + 20))] if number % 4 == 0 else [cat]


def picture(path: Path, number: int) -> None:
    write_image(path, np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))


def split(number: int) -> str:
    return "valid" if number % 5 == 0 else "test" if number % 5 == 1 else "train"


def xml(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(XML_OBJECT.format(name, *box) for name, box in objects(number))
    path.write_text(XML.format(name=f"{number}.jpg", objects=text))


def yolo(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, (x1, y1, x2, y2) in objects(number):
        center = (x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT
        lines.append(" ".join(map(str, (CLASSES.index(name), *center, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT))))
    path.write_text("\n".join(lines))


def coco(path: Path, numbers: Sequence[int], *, folder: str = "") -> None:
    images = [{"id": number, "file_name": f"{folder}{number}.jpg", "width": WIDTH, "height": HEIGHT} for number in numbers]
    annotations: list[dict[str, Any]] = []
    for number in numbers:
        for name, (x1, y1, x2, y2) in objects(number):
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append({"id": len(annotations), "image_id": number, "category_id": 7 + CLASSES.index(name), "bbox": box})
    categories = [{"id": 7 + number, "name": name} for number, name in enumerate(CLASSES)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def roboflow_coco(root: Path) -> None:
    for name in ("train", "valid", "test"):
        numbers = [number for number in range(COUNT) if split(number) == name]
        coco(root / name / "_annotations.coco.json", numbers)
        for number in numbers:
            picture(root / name / f"{number}.jpg", number)


def one_json(root: Path) -> None:
    coco(root / "annotations" / "instances_default.json", range(COUNT))
    for number in range(COUNT):
        picture(root / "photos" / f"{number}.jpg", number)


def devkit(root: Path) -> None:
    for number in range(COUNT):
        picture(root / "JPEGImages" / f"{number}.jpg", number)
        xml(root / "Annotations" / f"{number}.xml", number)
    for name, word in (("train", "train"), ("val", "valid"), ("test", "test")):
        listed = [str(number) for number in range(COUNT) if split(number) == word]
        path = root / "ImageSets" / "Main" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(listed))


def labelimg_xml(root: Path) -> None:
    for number in range(COUNT):
        picture(root / f"{number}.jpg", number)
        xml(root / f"{number}.xml", number)


def roboflow_voc(root: Path) -> None:
    for number in range(COUNT):
        picture(root / split(number) / f"{number}.jpg", number)
        xml(root / split(number) / f"{number}.xml", number)


def labelimg_yolo(root: Path) -> None:
    for number in range(COUNT):
        picture(root / f"{number}.jpg", number)
        yolo(root / f"{number}.txt", number)
    (root / "classes.txt").write_text("cat\ndog\n")


def roboflow_yolo(root: Path) -> None:
    for number in range(COUNT):
        picture(root / split(number) / "images" / f"{number}.jpg", number)
        yolo(root / split(number) / "labels" / f"{number}.txt", number)
    (root / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: ['cat', 'dog']\n")


def ultralytics(root: Path) -> None:
    for number in range(COUNT):
        part = {"train": "train", "valid": "val", "test": "test"}[split(number)]
        picture(root / "images" / part / f"{number}.jpg", number)
        yolo(root / "labels" / part / f"{number}.txt", number)
    (root / "own.yaml").write_text("path: ../datasets/x\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n")


def darknet(root: Path) -> None:
    for number in range(COUNT):
        picture(root / "obj_train_data" / f"{number}.jpg", number)
        yolo(root / "obj_train_data" / f"{number}.txt", number)
    (root / "obj.names").write_text("cat\ndog\n")
    for name, word in (("train", "train"), ("valid", "valid")):
        listed = [f"data/obj_train_data/{number}.jpg" for number in range(COUNT) if split(number) == word]
        (root / f"{name}.txt").write_text("\n".join(listed))


def csv_file(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    with open(root / "boxes.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filename", "class", "xmin", "ymin", "xmax", "ymax"])
        for number in range(COUNT):
            picture(root / "images" / f"{number}.jpg", number)
            writer.writerows([f"{number}.jpg", name, *box] for name, box in objects(number))


def cvat(root: Path) -> None:
    text = "<annotations>"
    for number in range(COUNT):
        picture(root / "images" / f"{number}.jpg", number)
        boxes = "".join(f'<box label="{name}" xtl="{a}" ytl="{b}" xbr="{c}" ybr="{d}"/>' for name, (a, b, c, d) in objects(number))
        text += f'<image id="{number}" name="{number}.jpg" width="64" height="48">{boxes}</image>'
    (root / "annotations.xml").write_text(f"{text}</annotations>")


def labelme(root: Path) -> None:
    for number in range(COUNT):
        picture(root / f"{number}.jpg", number)
        shapes = [{"label": name, "points": [[a, b], [c, d]], "shape_type": "rectangle"} for name, (a, b, c, d) in objects(number)]
        content = {"shapes": shapes, "imagePath": f"{number}.jpg", "imageHeight": HEIGHT, "imageWidth": WIDTH}
        (root / f"{number}.json").write_text(json.dumps(content))


OWN_SPLIT = (roboflow_coco, devkit, roboflow_voc, roboflow_yolo, ultralytics, darknet)
WITHOUT_SPLIT = (one_json, labelimg_xml, labelimg_yolo, csv_file, cvat, labelme)
LAYOUTS = {lay.__name__: lay for lay in (*OWN_SPLIT, *WITHOUT_SPLIT)}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def lay(tmp_path: Path) -> Callable[[str], Path]:
    """Make the folder that a tool would leave; its path."""

    def make(name: str) -> Path:
        LAYOUTS[name](tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def truth() -> Callable[[int], Objects]:
    """(class, xyxy) of the objects of an image."""
    return objects


@pytest.fixture(params=[lay.__name__ for lay in OWN_SPLIT])
def with_split(request: pytest.FixtureRequest, lay: Callable[[str], Path]) -> Path:
    """A folder of every kind that has its own split."""
    return lay(request.param)


@pytest.fixture(params=[lay.__name__ for lay in WITHOUT_SPLIT])
def without_split(request: pytest.FixtureRequest, lay: Callable[[str], Path]) -> Path:
    """A folder of every kind that has none."""
    return lay(request.param)
