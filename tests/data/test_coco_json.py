from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.data import coco_json
from centernet.data.coco_json import read_coco_json
from centernet.errors import DataError

WriteJson = Callable[[object], Path]


def test_objects_are_sorted_by_image_and_boxes_become_corners(tree: dict[str, Any], write_json: WriteJson) -> None:
    table = read_coco_json(write_json(tree))
    assert table.image_ids.tolist() == [42, 7]
    assert table.image_sizes.tolist() == [[40, 60], [30, 20]]
    assert list(table.file_names) == ["a.png", "b.png"]
    assert table.image_index.tolist() == [0, 1, 1]
    assert table.boxes.tolist() == [[0.5, 1.5, 3.5, 5.5], [1, 2, 11, 22], [5, 5, 5, 14]]
    assert table.areas.tolist() == [12, 150.5, 0]  # width times height where the file has no area
    assert table.is_crowd.tolist() == [False, True, False]
    assert table.is_difficult.tolist() == [False, False, True]
    assert [a.dtype for a in (table.image_index, table.boxes, table.category_of)] == [np.int32, np.float64, np.int32]


def test_categories_are_in_order_of_their_ids_whatever_the_file_s_order(tree: dict[str, Any], write_json: WriteJson) -> None:
    table = read_coco_json(write_json(tree))
    assert table.category_ids.tolist() == [5, 90]
    assert list(table.category_names) == ["cat", "zebra"]
    assert [table.category_names[i] for i in table.category_of] == ["cat", "zebra", "cat"]


def test_ids_may_be_negative_huge_or_whole_floats(tree: dict[str, Any], write_json: WriteJson) -> None:
    tree["categories"] = [{"id": -3, "name": "zebra"}, {"id": 2**40, "name": "cat"}]
    for entry in tree["annotations"]:
        entry["category_id"] = {90: -3.0, 5: 2**40}[entry["category_id"]]
    table = read_coco_json(write_json(tree))
    assert [table.category_names[i] for i in table.category_of] == ["cat", "zebra", "cat"]


def test_sizes_annotation_ids_and_flags_may_be_missing(tree: dict[str, Any], write_json: WriteJson) -> None:
    for entry in tree["images"]:
        entry["height"] = None
        del entry["width"]
    for entry in tree["annotations"]:
        for key in ("id", "iscrowd", "area", "ignore"):
            entry.pop(key, None)
    table = read_coco_json(write_json(tree))
    assert not table.image_sizes.any()
    assert not table.is_crowd.any()
    assert len(table.boxes) == 3
    assert not any("more than once" in note for note in table.notes)


def test_repeated_annotation_ids_and_flat_boxes_are_kept_and_noted(tree: dict[str, Any], write_json: WriteJson) -> None:
    tree["annotations"][1]["id"] = 1
    table = read_coco_json(write_json(tree))
    assert len(table.boxes) == 3
    assert list(table.notes) == [
        "1 annotation ids occur more than once; the objects are all kept",
        "1 boxes have no area; they are never trained on",
    ]


def _set(tree: dict[str, Any], section: str, key: str, value: object) -> None:
    tree[section][1][key] = value


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("annotations", "category_id", 77, r"annotations\[1\] \(id 2\): category id 77 is not declared in 'categories'; declared: 5, 90"),
        ("annotations", "image_id", 8, r"annotations\[1\] \(id 2\): image id 8 is not declared in 'images'"),
        ("annotations", "bbox", [1, 2, 3], r"annotations\[1\] \(id 2\): 'bbox' must be \[x, y, width, height\], found \[1, 2, 3\]"),
        ("annotations", "bbox", None, r"\(id 2\): 'bbox' must be .*found None"),
        ("annotations", "bbox", [1, 2, "3", 4], r"\(id 2\): 'bbox' and 'area' must be numbers"),
        ("annotations", "bbox", [1, 2, float("nan"), 4], r"\(id 2\): 'bbox' is not finite"),
        ("annotations", "area", "big", r"\(id 2\): 'bbox' and 'area' must be numbers"),
        ("annotations", "category_id", "cat", r"\(id 2\): 'category_id' must be an integer, found 'cat'"),
        ("annotations", "image_id", None, r"\(id 2\): 'image_id' must be an integer, found nothing"),
        ("images", "id", 42, r"images\[1\]: image id 42 occurs twice"),
        ("images", "id", "b", r"images\[1\]: 'id' must be an integer, found 'b'"),
        ("images", "file_name", None, r"images\[1\]: 'file_name' must be a text, found nothing"),
        ("categories", "id", 90, r"categories\[1\]: category id 90 occurs twice: 'zebra' and 'cat'"),
        ("categories", "name", "zebra", r"categories\[1\]: category name 'zebra' occurs twice"),
    ],
)
def test_a_bad_field_is_named_with_its_entry(
    section: str, key: str, value: object, expected: str, tree: dict[str, Any], write_json: WriteJson
) -> None:
    _set(tree, section, key, value)
    path = write_json(tree)
    with pytest.raises(DataError, match=expected) as caught:
        read_coco_json(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_of_another_kind_is_named(tree: dict[str, Any], write_json: WriteJson) -> None:
    del tree["categories"]
    with pytest.raises(DataError, match=r"not a COCO-format annotation file: 'categories' is missing; found keys \['annotations'"):
        read_coco_json(write_json(tree))
    with pytest.raises(DataError, match=r"an entry of 'images' is not an object: found '3'"):
        read_coco_json(write_json({"images": [3]}))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json: the annotation file does not exist"):
        read_coco_json(tmp_path / "gone.json")


def test_a_large_file_comes_from_the_cache_the_second_time(
    tree: dict[str, Any], write_json: WriteJson, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_json(tree)
    read_coco_json(path)
    assert not cache_folder.exists()  # small files leave nothing behind
    monkeypatch.setattr(coco_json, "CACHE_ABOVE_BYTES", 0)
    first = read_coco_json(path)
    monkeypatch.setattr(coco_json, "_parse", lambda path: pytest.fail("parsed again"))
    second = read_coco_json(path)
    for name, array in first.to_arrays().items():
        np.testing.assert_array_equal(array, second.to_arrays()[name])


def _write_large(path: Path, *, num_images: int, num_objects: int, seed: int = 0) -> None:
    """A file like COCO's own, with polygons that nobody here reads."""
    rng = np.random.default_rng(seed)
    owners = rng.integers(0, num_images, num_objects).tolist()
    polygon = [np.round(rng.uniform(0, 600, 50), 2).tolist()]
    with path.open("w") as file:
        images = ({"id": 3 * i + 7, "file_name": f"{i:012d}.jpg", "height": 480, "width": 640} for i in range(num_images))
        file.write('{"info": {"year": 2017}, "images": [' + ", ".join(map(json.dumps, images)) + '], "annotations": [')
        for j, owner in enumerate(owners):
            entry = {
                "segmentation": polygon, "area": 702.5, "iscrowd": 0, "image_id": 3 * owner + 7,
                "bbox": [1.5, 2.5, 38.65, 28.67], "category_id": j % 80 + 1, "id": j + 1,
            }  # fmt: skip
            file.write((", " if j else "") + json.dumps(entry))
        file.write('], "categories": ' + json.dumps([{"id": i, "name": f"class {i}"} for i in range(1, 81)]) + "}")


# Processor time, since others may have the machine's. The peak is read from /proc: that of `getrusage` starts at what the parent,
# here pytest, had when it forked.
_OPEN = """
import re, sys, time
from pathlib import Path
from centernet.data.coco_json import read_coco_json
began = time.process_time()
annotations, classes = read_coco_json(Path(sys.argv[1])).select(None)
seconds = time.process_time() - began
peak = int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
print(seconds, peak, len(annotations), len(annotations.boxes), len(classes))
"""


@pytest.mark.parametrize(
    ("num_images", "num_objects"),
    [(3000, 22_000), pytest.param(118_287, 860_001, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_a_file_of_coco_s_size_opens_within_a_second_and_200_mb_from_the_second_time(
    num_images: int, num_objects: int, tmp_path: Path
) -> None:
    path = tmp_path / "instances.json"
    _write_large(path, num_images=num_images, num_objects=num_objects)
    for attempt in ("first", "second"):
        done = subprocess.run([sys.executable, "-c", _OPEN, str(path)], capture_output=True, text=True, check=True)
        seconds, megabytes, *counts = map(float, done.stdout.split())
        assert counts == [num_images, num_objects, 80]
        assert megabytes < 250, attempt  # the file is read as a stream, so even the first time is modest
    assert seconds <= 1
    assert megabytes <= 200
