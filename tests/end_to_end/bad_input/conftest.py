"""A data set of four images, a configuration and a trained model, all tiny; and the real command line, in this process."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet import cli
from centernet.imaging.io import write_image

SIDE, NUM_IMAGES = 64, 4
CLASSES = {7: "cat", 3: "dog"}  # by category id, neither from 1 nor in order
CONFIG = """\
task: {name: ctdet}
data:
  dataset:
    name: coco
    train: {images: images, annotations: annotations.json}
    val: {images: images, annotations: annotations.json}
  input_size: [64, 64]
  workers: 0
model:
  backbone: {name: resnet, num_layers: 18, width: 0.125}
  neck: {name: deconv, width: 0.125}
  head: {name: conv, hidden_channels: 8}
  pretrained_model_dir: null
train:
  epochs: 1
  batch_size: 4
  schedule: {base_lr: 1e-3}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Project:
    """What a user has: `data` with images and annotations.json, a `config` for it, and a `model` trained on it."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def annotations(self) -> Path:
        return self.data / "annotations.json"

    @property
    def config(self) -> Path:
        return self.folder / "tiny.yaml"

    @property
    def images(self) -> Path:
        return self.data / "images"

    @property
    def train(self) -> tuple[object, ...]:
        """What one types after `train`."""
        return "--train-config", self.config, "--data_dir", self.data, "-o", self.folder / "new", "--extension_module", "cpu"

    def rewrite_config(self, old: str, new: str) -> None:
        """Change the YAML's text."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def rewrite_annotations(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the annotation file's content in place."""
        tree = json.loads(self.annotations.read_text())
        change(tree)
        self.annotations.write_text(json.dumps(tree))

    @property
    def model(self) -> Path:
        return self.folder / "out" / "checkpoints" / "params_0.h5"


Command = Callable[..., Ended]
Refused = Callable[..., str]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project after its one training step; read it, change only a copy (`project`)."""
    project = Project(tmp_path_factory.mktemp("project"))
    rng = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(NUM_IMAGES)]
    for name in names:
        write_image(_made(project.data / "images") / name, rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    annotations = [
        {"id": i, "image_id": i, "category_id": category, "bbox": [8 + i, 10, 30, 20 + i], "area": 600, "iscrowd": 0}
        for i, category in enumerate([7, 3, 7, 7])
    ]
    project.annotations.write_text(
        json.dumps(
            {
                "images": [{"id": i, "file_name": name, "height": SIDE, "width": SIDE} for i, name in enumerate(names)],
                "annotations": annotations,
                "categories": [{"id": number, "name": name} for number, name in CLASSES.items()],
            }
        )
    )
    project.config.write_text(CONFIG)
    assert cli.run("train", ["ctdet", *map(str, project.train), "-o", str(project.folder / "out")]) == 0
    return project


@pytest.fixture
def project(trained: Project, tmp_path: Path) -> Project:
    """A copy to damage."""
    return Project(shutil.copytree(trained.folder, tmp_path / "project"))


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Command]:
    """Run a command as typed, in a working folder of the test's own: `command("train", "--data_dir", folder)`."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *typed: object) -> Ended:
        capfd.readouterr()
        code = cli.run(name, [str(word) for word in typed])
        return Ended(code, *capfd.readouterr())

    yield run
    logging.getLogger("centernet").handlers.clear()  # they hold this test's captured stream


@pytest.fixture
def refused(command: Command) -> Refused:
    """Run a command that must end with exit code 2 and one line; the line."""

    def run(name: str, *typed: object) -> str:
        ended = command(name, *typed)
        assert ended.code == 2, ended
        assert "Traceback" not in ended.out + ended.err
        (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        assert ended.err.endswith(line + "\n"), ended.err  # nothing after it
        return line

    return run


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
