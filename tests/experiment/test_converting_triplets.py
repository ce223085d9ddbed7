"""Checkpoints of keypoint triplets: under the names of both code bases, narrow, and beside those of the other task."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.errors import WeightsError
from centernet.experiment import published
from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.checkpoints import parameters_for
from centernet.experiment.choice import Choice
from centernet.experiment.conversion import Wish, convert_checkpoint
from centernet.experiment.fine_tune import begin_with
from centernet.experiment.model_files import load
from centernet.models.torch_names import torch_names
from centernet.weights.store import read_parameters, write_parameters

pytestmark = pytest.mark.parametrize("write_torch", ["legacy"], indirect=True)  # as the released files are
Save = Callable[[str, dict[str, Any]], Path]
BACKBONE = {"name": "hourglass", "num_layers": 52, "width": 0.0625}
HEADS = {"triplet": {"name": "triplet", "width": 0.125}, "ctdet": {"name": "conv", "hidden_channels": 32}}
REWRITTEN = {  # how the re-implementation calls modules of the original
    r"^(kps.*)\.up1\.": r"\1.top.",
    r"^(tl|br|ct)_cnvs\.": r"cnvs_\1.",
    r"^(tl|br|ct)_heats\.": r"hmap_\1.",
    r"^(tl|br)_tags\.": r"embd_\1.",
    r"^(tl|br|ct)_regrs\.": r"regs_\1.",
    r"\.P([12])_look_conv\.": r".p\1_look_conv.",
}


def yaml_for(task: str, folder: Path) -> Choice:
    data = {"dataset": {"name": "coco", "classes": ["cat", "dog"]}, "input_size": [127, 127]}
    model = {"backbone": BACKBONE, "neck": {"name": "identity"}, "head": HEADS[task], "pretrained_model_dir": None}
    path = folder / f"{task}.yaml"
    path.write_text(json.dumps({"task": {"name": task}, "data": data, "model": model, "train": {"batch_size": 1}}))
    return Choice(yaml=path)


def assembly_for(task: str, folder: Path) -> Assembly:
    return from_description(published.describe(yaml_for(task, folder)), source=task)


def state_of(assembly: Assembly) -> dict[str, Any]:
    """Numbers under the original's keys."""
    rng, shapes = np.random.default_rng(0), assembly.network.parameter_shapes()
    keys = torch_names(assembly.network)
    return {keys[name]: rng.random(shape[1:2] if "/bn/" in name else shape, np.float32) for name, shape in shapes.items()}


def rewritten(key: str) -> str:
    for pattern, theirs in REWRITTEN.items():
        key = re.sub(pattern, theirs, key)
    return key


@pytest.fixture
def save(tmp_path: Path, write_torch: Callable[[Path, object], None], tensor: Any) -> Save:
    """Write a state dict bare, as both code bases do."""

    def write(name: str, state: dict[str, Any]) -> Path:
        write_torch(tmp_path / name, OrderedDict((key, tensor(values)) for key, values in state.items()))
        return tmp_path / name

    return write


def test_files_of_both_code_bases_become_the_same_model(save: Save, tmp_path: Path) -> None:
    choice, assembly = yaml_for("triplet", tmp_path), assembly_for("triplet", tmp_path)
    state = state_of(assembly)
    assert len({rewritten(key) for key in state} - set(state)) > 100
    old = save("CenterNet-52_480000.pkl", {f"module.{key}": values for key, values in state.items()})
    new = save("checkpoint.t7", {rewritten(key): values for key, values in state.items()})
    files = []
    for path in (old, new):
        text = convert_checkpoint(path, path.with_suffix(".h5"), choice, Wish())
        assert f"{path}: a keypoint_triplets_52 (here small_hourglass) with heads tl_heats 2, br_heats 2" in text
        assert "missing   none" in text
        files.append(read_parameters(path.with_suffix(".h5")))
    keys = torch_names(assembly.network)
    for name, values in files[0].parameters.items():
        np.testing.assert_array_equal(values, state[keys[name]].reshape(values.shape))
        np.testing.assert_array_equal(values, files[1].parameters[name])
    assert files[0].description == files[1].description
    assert (files[0].description or {})["experiment"]["task"]["name"] == "triplet"
    detector = load(new.with_suffix(".h5"), runtime="nnabla")
    assert detector.predict(np.zeros((60, 80, 3), np.uint8)).boxes.shape[1] == 4


@pytest.mark.parametrize(("mine", "other", "file"), [("triplet", "ctdet", "other.pkl"), ("ctdet", "triplet", "other.h5")])
def test_of_the_other_tasks_file_only_the_trunk_fits(mine: str, other: str, file: str, save: Save, tmp_path: Path) -> None:
    theirs, path = assembly_for(other, tmp_path), tmp_path / file
    state, keys, shapes = state_of(theirs), torch_names(theirs.network), theirs.network.parameter_shapes()
    values = {name: state[keys[name]].reshape(shape) for name, shape in shapes.items()}
    if path.suffix == ".pkl":
        save(file, state)
    else:
        write_parameters(path, values, description=theirs.description.to_tree())
    assembly = assembly_for(mine, tmp_path)
    with pytest.raises(
        WeightsError, match=f"the file has heads of task '{other}' .*, the network those of task '{mine}'; .*--allow-partial"
    ):
        begin_with(assembly, parameters_for(assembly.network, path), what=path)
    begin_with(assembly, parameters_for(assembly.network, path, allow_partial=True), what=path)
    own, trunk = assembly.network.parameters(), set(assembly.network.backbone_shapes())
    assert trunk == {name for name in own if name in values and (own[name].d == values[name]).all()}
