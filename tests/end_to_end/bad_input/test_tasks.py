"""Bad input: files and networks of one task given to another. Every mistake names both tasks, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.experiment import published
from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.choice import Choice
from centernet.models.torch_names import torch_names
from centernet.weights.store import write_parameters

MODEL = {
    "backbone": {"name": "hourglass", "num_layers": 52, "width": 0.0625},
    "neck": {"name": "identity"},
    "head": {"name": "triplet", "width": 0.125},
    "pretrained_model_dir": None,
}
FILES = {"images": "images", "annotations": "annotations.json"}
DATA = {"dataset": {"name": "coco", "train": FILES, "val": FILES, "classes": ["cat", "dog"]}, "input_size": [127, 127], "workers": 0}
HEADS = "tl_heats, br_heats, ct_heats, tl_tags, br_tags, tl_regrs, br_regrs, ct_regrs"


@dataclass(frozen=True)
class Triplets:
    """A narrow network of keypoint triplets: its configuration, parameters, and checkpoint."""

    config: Path
    model: Path
    checkpoint: Path


def state_of(assembly: Assembly) -> Mapping[str, Any]:
    shapes = assembly.network.parameter_shapes()
    keys = torch_names(assembly.network)
    return {f"module.{keys[name]}": np.zeros(shape[1:2] if "/bn/" in name else shape, np.float32) for name, shape in shapes.items()}


@pytest.fixture
def triplets(tmp_path: Path, write_torch: Callable[[Path, object], None], tensor: Any) -> Triplets:
    found = Triplets(tmp_path / "triplets.yaml", tmp_path / "triplets.h5", tmp_path / "triplets.pkl")
    found.config.write_text(json.dumps({"task": {"name": "triplet"}, "data": DATA, "model": MODEL, "train": {"batch_size": 2}}))
    assembly = from_description(published.describe(Choice(yaml=found.config)), source="triplets")
    parameters = {name: variable.d for name, variable in assembly.network.parameters(drawn=False).items()}
    write_parameters(found.model, parameters, description=assembly.description.to_tree())
    write_torch(found.checkpoint, {key: tensor(values) for key, values in state_of(assembly).items()})
    return found


@pytest.mark.parametrize("write_torch", ["legacy"], indirect=True)
def test_a_file_of_another_task_is_named_as_such(trained: Any, refused: Any, triplets: Triplets, tmp_path: Path) -> None:
    look = ("--demo", trained.images, "-o", "out")
    asked = "task '{}' was asked for, but {} is for task '{}'"
    own, other = ("ctdet", trained.model, "triplet"), ("triplet", triplets.model, "ctdet")
    for task, model, wrong in (own, other):
        assert asked.format(wrong, model, task) in refused("demo", wrong, "--checkpoint", model, *look)
        assert asked.format(wrong, model, task) in refused("train", wrong, "--checkpoint", model, "--data_dir", trained.data, "-o", "out")
    assert asked.format("ctdet", triplets.checkpoint, "triplet") in refused("demo", "ctdet", "--load_model", triplets.checkpoint, *look)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("write_torch", ["legacy"], indirect=True)
def test_a_configuration_of_another_task_than_the_files_is_named(trained: Any, refused: Any, triplets: Triplets, tmp_path: Path) -> None:
    said = "{}: not the weights of this network: the file has heads of task '{}' ({}), the network those of task '{}'"
    of_triplets = ("triplet", HEADS, "ctdet")
    for path in (triplets.model, triplets.checkpoint):
        assert said.format(path, *of_triplets) in refused("train", *trained.train, "--load_model", path)
    assert said.format(triplets.checkpoint, *of_triplets) in refused(
        "convert", triplets.checkpoint, "out.h5", "--train-config", trained.config, "--data_dir", trained.data
    )
    typed = ("--train-config", triplets.config, "--data_dir", trained.data, "--load_model", trained.model, "-o", "out")
    line = refused("train", *typed, "--extension_module", "cpu")
    assert said.format(trained.model, "ctdet", "hm, reg, wh", "triplet") in line
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]


def test_a_network_of_another_task_is_named(refused: Any, trained: Any) -> None:
    data = ("--data_dir", trained.data, "-o", "out")
    said = "--arch: large_hourglass is for task 'triplet', and task 'ctdet' was asked for"
    assert said in refused("train", "ctdet", "--arch", "large_hourglass", "--dataset", "coco", *data)
    line = refused("train", *trained.train, "--set", "model.head={name: triplet}")
    assert "model.head: triplet pools for the outputs of a task whose names begin with tl_, br_, ct_; found hm, reg, wh" in line
    assert "heads that fit this task: conv" in line
