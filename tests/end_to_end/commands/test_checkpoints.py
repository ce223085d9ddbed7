"""PyTorch checkpoints in every command: converted, or as they are."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import centernet as package
from centernet.experiment import description as descriptions
from centernet.experiment.assembly import from_description
from centernet.models.torch_names import torch_names
from centernet.weights.store import read_parameters

Command = Callable[..., Any]


@pytest.fixture
def checkpoint(tiny: Any, tmp_path: Path, write_torch: Callable[[Path, object], None], tensor: Any) -> Path:
    """The lively network as the official system would have saved it, heads in another order and one of another task."""
    file = read_parameters(tiny.lively)
    assembly = from_description(descriptions.read(file.description or {}, source="test"), source="test")
    state = {}
    for name, key in reversed(torch_names(assembly.network).items()):
        values = file.parameters[name]
        state[f"module.{key}"] = tensor(values.ravel() if "/bn/" in name else values)
    state |= {f"module.hps.{layer}.weight": tensor(np.zeros((2, 8, 1, 1), np.float32)) for layer in (0, 2)}
    state |= {f"module.hps.{layer}.bias": tensor(np.zeros(2, np.float32)) for layer in (0, 2)}
    write_torch(tmp_path / "model.pth", {"epoch": 3, "state_dict": OrderedDict(state), "optimizer": {"state": {}, "param_groups": []}})
    return tmp_path / "model.pth"


def network(tiny: Any) -> tuple[str, ...]:
    """Who does not use a published architecture says which with a YAML file."""
    return ("--train-config", str(tiny.config), "--data_dir", str(tiny.data))


def test_a_checkpoint_has_the_ap_of_the_file_it_is_converted_to(
    tiny: Any, centernet: Command, checkpoint: Path, own_truth: tuple[str, ...], tmp_path: Path
) -> None:
    said = centernet("convert", checkpoint, "model.h5", *network(tiny), "--report", "report.json").out
    assert "model.pth: a res_18 with heads " in said
    assert "left out  1 head: hps" in said
    assert json.loads((tmp_path / "report.json").read_text())["heads_left_out"] == ["hps"]
    assert read_parameters("model.h5").description == read_parameters(tiny.lively).description

    results = {}
    for name, words in (("model.h5", ()), ("model.pth", network(tiny))):
        centernet("test", "ctdet", "--load_model", name, *words, *own_truth, "-o", f"out_{name}")
        results[name] = json.loads((tmp_path / f"out_{name}" / "results.json").read_text())
    assert results["model.h5"]["AP"] > 0.1
    assert results["model.pth"]["AP"] == results["model.h5"]["AP"]
    assert results["model.pth"]["model"] == "model.pth"


@pytest.mark.parametrize("write_torch", ["zip"], indirect=True)
def test_demo_export_and_training_take_it_as_it_is(tiny: Any, centernet: Command, checkpoint: Path, tmp_path: Path) -> None:
    look = ("--demo", tiny.images[0], "--precision", "float32")
    found = {}
    for name, path, words in (("h5", tiny.lively, ()), ("pth", checkpoint, network(tiny))):
        centernet("demo", "ctdet", "--load_model", path, *words, *look, "-o", name)
        found[name] = json.loads((tmp_path / name / "detections.jsonl").read_text())["detections"]
    assert len(found["h5"]) > 3
    assert found["pth"] == found["h5"]

    centernet("export", checkpoint, *network(tiny), "-o", "model.onnx", "--format", "onnx", "--decode")
    assert package.load("model.onnx").class_names == package.load(tiny.lively, runtime="nnabla").class_names

    out = centernet("train", "ctdet", *network(tiny), "--load_model", checkpoint, "--num_epochs", 1, "--lr", 1e-12, "-o", "out").out
    count = len(read_parameters(tiny.lively).parameters)
    assert f"{checkpoint}: {count} parameters loaded" in out
    trained = read_parameters(tmp_path / "out" / "checkpoints" / "params_0.h5").parameters
    lively = read_parameters(tiny.lively).parameters
    np.testing.assert_allclose(trained["conv1/conv/W"], lively["conv1/conv/W"], atol=1e-6)


@pytest.mark.parametrize("write_torch", ["zip"], indirect=True)
def test_training_begins_with_a_checkpoint_of_other_classes(
    tiny: Any, centernet: Command, tmp_path: Path, write_torch: Callable[[Path, object], None], tensor: Any
) -> None:
    """The last layer of the heatmap is drawn anew, and that is said; the head of another task is left where it is."""
    file = read_parameters(tiny.lively)
    assembly = from_description(descriptions.read(file.description or {}, source="test"), source="test")
    state = {key: file.parameters[name] for name, key in torch_names(assembly.network).items()}
    state |= {key: values.ravel() for key, values in state.items() if values.shape[::2] == (1, 1)}
    state |= {"hm.2.weight": np.ones((7, 8, 1, 1), np.float32), "hm.2.bias": np.ones(7, np.float32), "dep.2.bias": np.ones(1, np.float32)}
    state |= {"dep.2.weight": np.ones((1, 8, 1, 1), np.float32)}
    write_torch(tmp_path / "seven.pth", {key: tensor(values) for key, values in state.items()})
    words = ("--load_model", "seven.pth", "--num_epochs", 1, "--lr", 1e-12, "-o", "out", "--disable_val_calc_map")
    ended = centernet("train", *network(tiny), *words)
    assert "hm_final/conv/b: begins anew, for another number of classes; 5 instead of 7" in ended.out
    assert "seven.pth: 127 parameters taken; left in the file: dep" in ended.err
    trained = read_parameters(tmp_path / "out" / "checkpoints" / "params_0.h5").parameters
    np.testing.assert_allclose(trained["hm_final/conv/b"], -2.19, atol=1e-3)
    np.testing.assert_allclose(trained["conv1/conv/W"], file.parameters["conv1/conv/W"], atol=1e-6)


@pytest.mark.parametrize("write_torch", ["legacy"], indirect=True)
def test_part_of_a_checkpoint_starts_a_training(
    tiny: Any, centernet: Command, tmp_path: Path, write_torch: Callable[[Path, object], None], tensor: Any
) -> None:
    kernel = np.full((8, 3, 7, 7), 0.01, np.float32)
    write_torch(tmp_path / "part.pth", {"conv1.weight": tensor(kernel), "layer9.weight": tensor(kernel)})
    words = ("train", *network(tiny), "--load_model", "part.pth", "--num_epochs", 1, "--lr", 1e-12, "-o", "out", "--disable_val_calc_map")
    line = centernet(*words, code=2).err
    assert "not in the network: layer9.weight; --allow-partial takes what fits" in line
    assert not (tmp_path / "out" / "checkpoints").exists()
    centernet(*words, "--allow-partial")
    trained = read_parameters(tmp_path / "out" / "checkpoints" / "params_0.h5").parameters
    np.testing.assert_allclose(trained["conv1/conv/W"], kernel, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("write_torch", ["legacy"], indirect=True)
def test_an_official_checkpoint_needs_no_other_word(
    tiny: Any, centernet: Command, tmp_path: Path, write_torch: Callable[[Path, object], None], tensor: Any, by_rule: Any
) -> None:
    """ResNet-18 of full width for COCO's classes: classes, size and colours are those of the official system."""
    from centernet.experiment.origin import network_of

    bare = network_of("res_18")
    shapes, state = bare.parameter_shapes(), {}
    for name, key in torch_names(bare).items():
        values = by_rule(name, shapes[name])
        state[key] = tensor(values.ravel() if "/bn/" in name else values)
    for head, channels in (("hm", 80), ("wh", 2), ("reg", 2)):
        for layer, shape in ((0, (64, 256, 3, 3)), (2, (channels, 64, 1, 1))):
            name = f"{head}_{'final' if layer else 'conv1'}/conv"
            state |= {
                f"{head}.{layer}.weight": tensor(by_rule(f"{name}/W", shape)),
                f"{head}.{layer}.bias": tensor(by_rule(f"{name}/b", shape[:1])),
            }
    write_torch(tmp_path / "ctdet_coco_res18.pth", {"epoch": 140, "state_dict": OrderedDict(state)})
    centernet("convert", "ctdet_coco_res18.pth", "model.h5")
    found = []
    for path in ("model.h5", "ctdet_coco_res18.pth"):
        centernet("demo", "--load_model", path, "--demo", tiny.images[0], "--input_res", 128, "--precision", "float32", "-o", "out")
        found.append(json.loads((tmp_path / "out" / "detections.jsonl").read_text())["detections"])
    assert len(found[0]) > 3
    assert found[0] == found[1]
    detector = package.load(tmp_path / "ctdet_coco_res18.pth", runtime="nnabla")
    assert detector.class_names[:2] == ("person", "bicycle")
    assert detector.description.input_size == (512, 512)
