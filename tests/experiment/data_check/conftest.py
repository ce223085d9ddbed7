"""A small data set and its experiment, to be damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet import config as configuration
from centernet.experiment.schema import ExperimentConfig
from centernet.imaging.io import write_image


@dataclass(frozen=True)
class Project:
    """A data folder with 12 images to train and 4 to validate, a cat each, and its YAML."""

    root: Path
    yaml: Path

    def experiment(self, *assignments: str) -> ExperimentConfig:
        tree = configuration.override(configuration.read_yaml(self.yaml), assignments)
        return configuration.validate(ExperimentConfig, tree, source="x.yaml")

    def change(self, split: str, how: Callable[[dict[str, Any]], object]) -> None:
        """Change an annotation file."""
        path = self.root / f"{split}.json"
        tree = json.loads(path.read_text())
        how(tree)
        path.write_text(json.dumps(tree))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A sound one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "data"
    for split, numbers in (("train", range(12)), ("val", range(12, 16))):
        for number in numbers:
            pixels = np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)
            write_image(root / "images" / f"{number}.png", pixels)
        images = [{"id": number, "file_name": f"{number}.png", "height": 64, "width": 64} for number in numbers]
        objects = [{"id": number, "image_id": number, "category_id": 1, "bbox": [8, 8, 32, 16]} for number in numbers]
        tree = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cat"}]}
        (root / f"{split}.json").write_text(json.dumps(tree))
    tree = {
        "task": {"name": "ctdet"},
        "data": {
            "root": str(root),
            "dataset": {"name": "coco", **{split: {"images": "images", "annotations": f"{split}.json"} for split in ("train", "val")}},
            "input_size": [64, 64],
        },
        "model": {
            "backbone": {"name": "resnet", "num_layers": 18, "width": 0.125},
            "neck": {"name": "deconv", "width": 0.125},
            "head": {"name": "conv", "hidden_channels": 8},
            "pretrained_model_dir": None,
        },
        "train": {"batch_size": 4},
    }
    (root / "x.yaml").write_text(json.dumps(tree))
    return Project(root, root / "x.yaml")
