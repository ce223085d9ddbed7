"""Checkpoints become parameter files: what is taken, kept, left out, refused, and reported."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.errors import ConfigError, OutputError, WeightsError
from centernet.experiment.checkpoints import parameters_for
from centernet.experiment.choice import Choice
from centernet.experiment.conversion import Wish, convert_checkpoint
from centernet.experiment.description import Description
from centernet.experiment.model_files import load
from centernet.models.backbones import resnet
from centernet.models.heads import conv
from centernet.models.necks import deconv
from centernet.models.network import Network
from centernet.models.specs import HeadSpec
from centernet.models.torch_names import backbone_torch_names, torch_names
from centernet.structures import Array
from centernet.weights.store import read_parameters, write_parameters

only_zip = pytest.mark.parametrize("write_torch", ["zip"], indirect=True)  # one of the two formats is enough
Write = Callable[[Path, object], None]
CLASSES = ["cat", "dog"]
HEADS = {"hm": 2, "wh": 2, "reg": 2}
YAML = {
    "task": {"name": "ctdet"},
    "data": {"dataset": {"name": "coco", "classes": CLASSES}, "input_size": [64, 64]},
    "model": {
        "backbone": {"name": "resnet", "num_layers": 18, "width": 0.125},
        "neck": {"name": "deconv", "width": 0.125},
        "head": {"name": "conv", "hidden_channels": 8},
        "pretrained_model_dir": None,
    },
    "train": {"batch_size": 1},
}


def narrow(heads: Mapping[str, int], hidden: int = 8) -> Network:
    """A ResNet-18 of an eighth of the width, which a test writes quickly."""
    specs = {head: HeadSpec(scope=head, channels=channels, kind="regression") for head, channels in heads.items()}
    return Network(resnet.Config(width=0.125), deconv.Config(width=0.125), conv.Config(hidden_channels=hidden), specs, scope=OrderedDict())


def state_of(network: Network) -> dict[str, Array]:
    """The state dict of a network with numbers of its own, and the counters that PyTorch adds."""
    rng = np.random.default_rng(0)
    state: dict[str, Array] = {}
    for name, key in torch_names(network).items():
        shape = network.parameter_shapes()[name]
        state[key] = rng.standard_normal(shape[1:2] if "/bn/" in name else shape).astype(np.float32)
    return {**state, "bn1.num_batches_tracked": np.array(7, np.int64)}


@pytest.fixture
def choice(tmp_path: Path) -> Choice:
    (tmp_path / "narrow.yaml").write_text(json.dumps(YAML))
    return Choice(yaml=tmp_path / "narrow.yaml")


@pytest.fixture
def save(tmp_path: Path, write_torch: Write, tensor: Any) -> Callable[..., Path]:
    """Write a state dict as the official system does."""

    def write(state: Mapping[str, Array], name: str = "model.pth") -> Path:
        write_torch(tmp_path / name, {"epoch": 140, "state_dict": OrderedDict((key, tensor(array)) for key, array in state.items())})
        return tmp_path / name

    return write


def test_the_written_file_explains_itself_and_has_the_checkpoints_values(save: Any, choice: Choice, tmp_path: Path) -> None:
    network = narrow(HEADS)
    state = state_of(network)
    said = convert_checkpoint(save(state), tmp_path / "out.h5", choice, Wish())
    file = read_parameters(tmp_path / "out.h5")
    names = torch_names(network)
    assert set(file.parameters) == set(names)
    for name, values in file.parameters.items():
        np.testing.assert_array_equal(values.ravel(), state[names[name]].ravel(), err_msg=name)
    assert not file.need_grad["conv1/bn/mean"]
    assert file.description is not None
    described = Description(**file.description)
    assert described.class_names == tuple(CLASSES)
    assert (described.input_size, described.stride, described.layout) == ((64, 64), 4, "nchw")
    assert load(tmp_path / "out.h5", runtime="nnabla").class_names == tuple(CLASSES)
    lines = said.splitlines()
    assert lines[0].endswith("model.pth: a res_18 with heads hm 2, wh 2, reg 2")
    assert lines[1] == f"taken     {len(names)} parameters, {sum('/bn/' in name for name in names)} of them reshaped"
    assert lines[2:4] == ["unused    1 key: bn1.num_batches_tracked", "missing   none"]
    assert lines[4].endswith("out.h5: res_18, 2 classes (cat, ...), input 64x64, NCHW, 3 input channels")


def test_safetensors_are_converted_too(choice: Choice, tmp_path: Path) -> None:
    state, header, start = state_of(narrow(HEADS)), {}, 0
    for key, values in state.items():
        kind = {"float32": "F32", "int64": "I64"}[values.dtype.name]
        header[f"model.{key}"] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [start, start + values.nbytes]}
        start += values.nbytes
    text = json.dumps(header).encode()
    content = b"".join(values.tobytes() for values in state.values())
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + content)
    said = convert_checkpoint(tmp_path / "model.safetensors", tmp_path / "out.h5", choice, Wish())
    assert "missing   none" in said
    np.testing.assert_array_equal(read_parameters(tmp_path / "out.h5").parameters["conv1/conv/W"], state["conv1.weight"])


@only_zip
def test_the_report_has_every_layer(save: Any, choice: Choice, tmp_path: Path) -> None:
    convert_checkpoint(save(state_of(narrow(HEADS))), tmp_path / "out.h5", choice, Wish(report=tmp_path / "report.json"))
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["network"], report["architecture"], report["heads"]) == ("res_18", "res_18", HEADS)
    assert {"name": "conv1/bn/beta", "key": "bn1.bias", "shape": [1, 8, 1, 1]} in report["taken"]
    assert "conv1/bn/beta" in report["reshaped"]
    assert "conv1/conv/W" not in report["reshaped"]
    assert (report["unused"], report["missing"]) == (["bn1.num_batches_tracked"], [])


@only_zip
def test_layout_and_channels_are_those_wished_for(save: Any, choice: Choice, tmp_path: Path) -> None:
    convert_checkpoint(save(state_of(narrow(HEADS))), tmp_path / "out.h5", choice, Wish(layout="nhwc", channels=4))
    file = read_parameters(tmp_path / "out.h5")
    assert file.parameters["conv1/conv/W"].shape == (8, 7, 7, 4)
    assert file.description is not None
    assert (file.description["layout"], file.description["input_channels"]) == ("nhwc", 4)


@only_zip
def test_heads_of_other_tasks_are_left_out_or_kept_by_name(save: Any, choice: Choice, tmp_path: Path) -> None:
    path = save(state_of(narrow({**HEADS, "hps": 34, "hm_hp": 17})))
    said = convert_checkpoint(path, tmp_path / "out.h5", choice, Wish())
    assert "left out  2 heads: hps, hm_hp" in said
    assert not any("hps" in name for name in read_parameters(tmp_path / "out.h5").parameters)
    said = convert_checkpoint(path, tmp_path / "kept.h5", choice, Wish(keep_heads=("hps",)))
    assert "kept      1 head: hps\nleft out  1 head: hm_hp" in said
    assert read_parameters(tmp_path / "kept.h5").parameters["hps_final/conv/b"].shape == (34,)
    assert load(tmp_path / "kept.h5", runtime="nnabla").class_names == tuple(CLASSES)
    said = convert_checkpoint(path, tmp_path / "kept.h5", choice, Wish(keep_heads=("all",)))
    assert "kept      2 heads: hps, hm_hp" in said
    with pytest.raises(ConfigError, match="--keep-heads: 'hpz' is no head that could be kept; did you mean 'hps'"):
        convert_checkpoint(path, tmp_path / "kept.h5", choice, Wish(keep_heads=("hpz",)))


@only_zip
def test_what_does_not_fit_is_listed_and_nothing_is_written(save: Any, choice: Choice, tmp_path: Path) -> None:
    state = state_of(narrow(HEADS))
    state["conv1.weight"] = np.ones((9, 3, 7, 7), np.float32)
    state["bn1.weight"] = np.ones(9, np.float32)
    state["extra.weight"] = np.ones(3, np.float32)
    del state["wh.2.bias"]
    path = save(state)
    with pytest.raises(WeightsError) as error:
        convert_checkpoint(path, tmp_path / "out.h5", choice, Wish(report=tmp_path / "report.json"))
    for part in ("conv1.weight (9, 3, 7, 7) instead of (8, 3, 7, 7)", "bn1.weight (9,) instead of (8,)", "not in the file: wh.2.bias"):
        assert part in str(error.value)
    assert "not in the network: extra.weight; --allow-partial takes what fits" in str(error.value)
    assert {found.name for found in tmp_path.iterdir()} == {"model.pth", "narrow.yaml"}


@only_zip
def test_part_of_a_checkpoint_comes_with_initial_values_for_the_rest(save: Any, choice: Choice, tmp_path: Path) -> None:
    state = state_of(narrow({**HEADS, "hm": 5}))
    path = save(state)
    with pytest.raises(WeightsError, match="its heatmap has 5 classes, the data set 2"):
        convert_checkpoint(path, tmp_path / "out.h5", choice, Wish())
    said = convert_checkpoint(path, tmp_path / "out.h5", choice, Wish(allow_partial=True))
    assert "missing   2 parameters: hm_final/conv/W, hm_final/conv/b: they have initial values" in said
    file = read_parameters(tmp_path / "out.h5")
    np.testing.assert_array_equal(file.parameters["hm_final/conv/b"], np.full(2, -2.19, np.float32))
    np.testing.assert_array_equal(file.parameters["conv1/conv/W"], state["conv1.weight"])
    assert set(file.parameters) == set(narrow(HEADS).parameter_shapes())


@only_zip
def test_a_checkpoint_of_another_network_is_refused_with_both_names(save: Any, tmp_path: Path) -> None:
    chosen = Choice(words={"arch": "res_34", "dataset": "coco"}, assignments=[f"data.dataset.classes={CLASSES}"])
    with pytest.raises(WeightsError, match=r"not the weights of this network: the file is a res_18, the network a res_34 \(--arch\)"):
        convert_checkpoint(save(state_of(narrow(HEADS))), tmp_path / "out.h5", chosen, Wish())
    assert not (tmp_path / "out.h5").exists()


@only_zip
def test_a_classifier_becomes_a_backbone_file(tmp_path: Path, write_torch: Write, tensor: Any) -> None:
    network = Network(resnet.Config(), deconv.Config(), conv.Config(), {}, scope=OrderedDict())
    shapes, rng = network.backbone_shapes(), np.random.default_rng(0)
    state = {
        key: rng.standard_normal(shapes[name][1:2] if "/bn/" in name else shapes[name]).astype(np.float32)
        for name, key in backbone_torch_names(network).items()
    }
    write_torch(tmp_path / "resnet18.pth", {key: tensor(array) for key, array in {**state, "fc.bias": np.zeros(1000, np.float32)}.items()})
    said = convert_checkpoint(tmp_path / "resnet18.pth", tmp_path / "out.h5", Choice(), Wish())
    assert "out.h5: a backbone, NCHW, 3 input channels" in said
    file = read_parameters(tmp_path / "out.h5")
    assert file.description is None
    assert {name: values.shape for name, values in file.parameters.items()} == shapes


def test_the_target_and_the_report_are_checked_before_anything_is_read(choice: Choice, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"out\.txt: parameters are written as \.h5, not '\.txt'"):
        convert_checkpoint(tmp_path / "gone.pth", tmp_path / "out.txt", choice, Wish())
    with pytest.raises(OutputError, match=r"--report .*: there is no such folder"):
        convert_checkpoint(tmp_path / "gone.pth", tmp_path / "out.h5", choice, Wish(report=tmp_path / "no" / "report.json"))


@only_zip
def test_a_checkpoint_comes_with_its_own_classes_and_a_parameter_file_as_it_is(save: Any, tmp_path: Path) -> None:
    """So that whoever fills the network can tell what differs."""
    file = parameters_for(narrow(HEADS), save(state_of(narrow({**HEADS, "hm": 5}))))
    assert file.parameters["hm_final/conv/b"].shape == (5,)
    write_parameters(tmp_path / "any.h5", {"a": np.ones(1, np.float32)})
    assert list(parameters_for(narrow(HEADS), tmp_path / "any.h5").parameters) == ["a"]


@only_zip
def test_layers_that_are_missing_are_listed_where_the_network_was_named(save: Any, tmp_path: Path) -> None:
    network = narrow(HEADS)
    state = {key: values for key, values in state_of(network).items() if not key.startswith("layer3.1.")}
    lost = [key for key in torch_names(network).values() if key not in state]
    path = save({**state, "stray.weight": np.ones(3, np.float32)})
    keys = {"data.dataset.classes": CLASSES, "model.backbone.width": 0.125, "model.neck.width": 0.125}
    typed = Choice(words={"arch": "res_18"}, keys=keys)
    with pytest.raises(WeightsError) as error:
        convert_checkpoint(path, tmp_path / "out.h5", typed, Wish())
    text = str(error.value)
    assert f"{len(lost)} not in the file: {', '.join(lost)}; 1 not in the network: stray.weight; --allow-partial takes" in text
    with pytest.raises(WeightsError, match=r"is of no known network; the nearest is res_18: .* --arch res_18 --allow-partial` takes"):
        convert_checkpoint(path, tmp_path / "out.h5", Choice(), Wish())
    said = convert_checkpoint(path, tmp_path / "out.h5", typed, Wish(allow_partial=True))
    assert said.splitlines()[0].endswith("model.pth: taken for a res_18 with heads hm 2, wh 2, reg 2")
    assert f"missing   {len(lost)} parameters: " in said
    assert "(--report FILE.json has all)" in said
    assert "unknown" not in said


@only_zip
def test_the_report_has_the_keys_of_another_shape(save: Any, choice: Choice, tmp_path: Path) -> None:
    path = save(state_of(narrow({**HEADS, "hm": 5})))
    said = convert_checkpoint(path, tmp_path / "out.h5", choice, Wish(allow_partial=True, report=tmp_path / "report.json"))
    assert "misfits   2 keys: hm.2.weight (5, 8, 1, 1) instead of (2, 8, 1, 1), hm.2.bias (5,) instead of (2,)" in said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["mismatched"] == ["hm.2.weight", "hm.2.bias"]
    layers = {layer["key"]: layer for layer in report["layers"]}
    bias = {"became": "mismatched", "key": "hm.2.bias", "name": "hm_final/conv/b", "file_shape": [5], "wanted_shape": [2]}
    assert layers["hm.2.bias"] == bias
    assert layers["bn1.bias"] == {
        "became": "reshaped",
        "key": "bn1.bias",
        "name": "conv1/bn/beta",
        "file_shape": [8],
        "wanted_shape": [1, 8, 1, 1],
    }
    assert {layer["became"] for layer in report["layers"]} == {"taken", "reshaped", "mismatched", "unused"}


@only_zip
def test_heads_without_a_hidden_layer_are_taken_and_the_file_says_so(save: Any, tmp_path: Path) -> None:
    """What the official system writes with `--head_conv 0`: keys hm.weight and hm.bias."""
    state = state_of(narrow(HEADS, hidden=0))
    assert state["hm.weight"].shape == (2, 8 * 4, 1, 1)
    keys = {"data.dataset.classes": CLASSES, "model.backbone.width": 0.125, "model.neck.width": 0.125}
    said = convert_checkpoint(save(state), tmp_path / "out.h5", Choice(keys=keys), Wish())
    assert "missing   none" in said
    file = read_parameters(tmp_path / "out.h5")
    np.testing.assert_array_equal(file.parameters["hm_final/conv/W"], state["hm.weight"])
    assert Description(**(file.description or {})).experiment["model"]["head"]["hidden_channels"] == 0
    assert load(tmp_path / "out.h5", runtime="nnabla").class_names == tuple(CLASSES)
