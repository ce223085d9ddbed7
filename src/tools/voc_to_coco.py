#!/usr/bin/env python3
"""Write one image set of a Pascal VOC devkit as the COCO-style JSON that VOC detectors are commonly trained from.

    voc_to_coco.py VOCdevkit/VOC2007 test -o annotations/pascal_test2007.json

Needs nothing but Python 3.8 or later.
"""

from __future__ import annotations

import argparse
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

# In the order of the devkit; category ids count from 1.
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


class BadDevkit(Exception):
    """A file of the devkit is missing or not what the devkit's documentation says."""


def number(element: ElementTree.Element, path: str) -> float:
    """The number at a path below the element: `12` as an int, `12.5` (a few boxes of 2011) as a float."""
    text = element.findtext(path) or ""
    try:
        value = float(text)
    except ValueError as error:
        raise BadDevkit(f"{path}: found '{text}', expected a number") from error
    return int(value) if value.is_integer() else value


def image_id(name: str) -> int:
    """`000012` -> 12, `2008_000008` -> 2008000008: unique over the years."""
    digits = name.replace("_", "")
    if not digits.isdecimal():
        raise BadDevkit(f"'{name}' is not named like VOC's images, 000012 or 2008_000008")
    return int(digits)


def annotation(element: ElementTree.Element) -> dict[str, Any]:
    """One `<object>` in COCO's words, without its ids.

    VOC counts pixels from 1 and includes both corners, so (xmin, ymin, xmax, ymax) becomes the box
    (xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1); difficult objects are marked `ignore`.
    """
    name = (element.findtext("name") or "").strip()
    if name not in CLASSES:
        raise BadDevkit(f"class '{name}' is none of VOC's; known: {', '.join(CLASSES)}")
    left, top, right, bottom = (number(element, f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax"))
    left, top = left - 1, top - 1
    width, height = right - left, bottom - top
    return {
        "segmentation": [[left, top, left, bottom, right, bottom, right, top]],
        "area": width * height,
        "iscrowd": 0,
        "bbox": [left, top, width, height],
        "category_id": CLASSES.index(name) + 1,
        "ignore": int((element.findtext("difficult") or "0").strip() != "0"),
    }


def read_xml(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The image and the objects of one file of `Annotations`; BadDevkit names the file and the reason."""
    try:
        root = ElementTree.parse(path).getroot()
        image = {
            "file_name": f"{path.stem}.jpg",
            "height": int(number(root, "size/height")),
            "width": int(number(root, "size/width")),
            "id": image_id(path.stem),
        }
        return image, [annotation(element) for element in root.findall("object")]
    except (OSError, BadDevkit, ElementTree.ParseError) as error:
        raise BadDevkit(f"{path}: {error}") from error


def convert(devkit: Path, image_set: str) -> dict[str, Any]:
    """All images of `ImageSets/Main/<image_set>.txt` of one year's devkit folder."""
    listing = devkit / "ImageSets" / "Main" / f"{image_set}.txt"
    if not listing.is_file():
        raise BadDevkit(f"{listing}: no such file; expected an unpacked devkit with Annotations, ImageSets/Main and JPEGImages")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for line in listing.read_text().split():
        image, objects = read_xml(devkit / "Annotations" / f"{line}.xml")
        images.append(image)
        for found in objects:
            annotations.append({**found, "image_id": image["id"], "id": len(annotations) + 1})
    categories = [{"supercategory": "none", "id": i, "name": name} for i, name in enumerate(CLASSES, start=1)]
    return {"images": images, "type": "instances", "annotations": annotations, "categories": categories}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("devkit", type=Path, help="one year's folder, e.g. VOCdevkit/VOC2007")
    parser.add_argument("image_set", help="train, val, trainval or test")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the JSON file to write")
    options = parser.parse_args(arguments)
    try:
        converted = convert(options.devkit, options.image_set)
    except BadDevkit as error:
        print(error, file=sys.stderr)
        return 2
    options.output.parent.mkdir(parents=True, exist_ok=True)
    part = options.output.with_name(options.output.name + ".part")
    part.write_text(json.dumps(converted))
    part.replace(options.output)
    print(f"{options.output}: {len(converted['images'])} images, {len(converted['annotations'])} objects")
    return 0


if __name__ == "__main__":
    sys.exit(main())
