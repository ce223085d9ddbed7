"""Small data sets on disk for the tests of this part, and a cache folder of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from centernet.imaging import io

CocoTree = dict[str, Any]
PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parsed annotations must not end up in the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "centernet"


@pytest.fixture
def numbered(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Samples for the tests of the loader; worker processes import the module too."""
    monkeypatch.syspath_prepend(str(PROGRAMS))
    import numbered

    return numbered


@pytest.fixture
def tree() -> CocoTree:
    """Two images with three objects between them, ids with gaps and out of order, two categories."""
    return {
        "images": [
            {"id": 42, "file_name": "a.png", "height": 40, "width": 60},
            {"id": 7, "file_name": "b.png", "height": 30, "width": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 90, "bbox": [1, 2, 10, 20], "area": 150.5, "iscrowd": 1},
            {"id": 2, "image_id": 42, "category_id": 5, "bbox": [0.5, 1.5, 3, 4], "iscrowd": 0},
            {"id": 3, "image_id": 7, "category_id": 5, "bbox": [5, 5, 0, 9], "ignore": 1},
        ],
        "categories": [{"id": 90, "name": "zebra"}, {"id": 5, "name": "cat"}],
    }


@pytest.fixture
def write_json(tmp_path: Path) -> Callable[[object], Path]:
    """Write a value as JSON and return where it is."""

    def write(value: object) -> Path:
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(value))
        return path

    return write


@pytest.fixture
def coco_root(tmp_path: Path, tree: CocoTree) -> Path:
    """A data folder with `images/` and `annotations.json` of `tree`."""
    root = tmp_path / "coco"
    (root / "images").mkdir(parents=True)
    (root / "annotations.json").write_text(json.dumps(tree))
    rng = np.random.default_rng(0)
    for image in tree["images"]:
        pixels = rng.integers(0, 256, (image["height"], image["width"], 3), dtype=np.uint8)
        io.write_image(root / "images" / image["file_name"], pixels)
    return root
