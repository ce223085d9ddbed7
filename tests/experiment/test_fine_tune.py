"""Beginning with a model of other classes, and training a part of the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from centernet import config as configuration
from centernet.engine.solver import GroupConfig, SolverConfig
from centernet.errors import ConfigError, WeightsError
from centernet.experiment.assembly import Assembly, assemble
from centernet.experiment.fine_tune import begin_with, frozen_names, plan, stages_of
from centernet.experiment.schema import ExperimentConfig
from centernet.structures import ClassTable, Normalization
from centernet.weights.layout import convert
from centernet.weights.store import ParameterFile

PARTS: dict[str, dict[str, Any]] = {
    "resnet": {"backbone": {"name": "resnet", "width": 0.125}, "neck": {"name": "deconv", "width": 0.125}},
    "hourglass": {"backbone": {"name": "hourglass", "num_layers": 104, "width": 0.0625}, "neck": {"name": "identity"}},
}
LAST = {
    "resnet": ["hm_final/conv/W", "hm_final/conv/b"],
    "hourglass": [f"hm/{stack}/final/conv/{kind}" for stack in (0, 1) for kind in ("W", "b")],
}


def assembly_for(num_classes: int, network: str = "resnet", *, hidden_channels: int = 8, **train: Any) -> Assembly:
    tree = {
        "task": {"name": "ctdet"},
        "data": {"dataset": {"name": "shapes"}, "input_size": [128, 128]},
        "model": {**PARTS[network], "head": {"name": "conv", "hidden_channels": hidden_channels}, "pretrained_model_dir": None},
        "train": {"batch_size": 1, **train},
    }
    config = configuration.validate(ExperimentConfig, tree, source="test")
    classes = ClassTable(tuple(f"class {index}" for index in range(num_classes)))
    return assemble(config, classes, Normalization((0.5, 0.5, 0.5), (0.2, 0.2, 0.2)))


def file_of(assembly: Assembly) -> ParameterFile:
    """Every parameter at a value of its own, none an initial one."""
    rng = np.random.default_rng(0)
    shapes = assembly.network.parameter_shapes()
    return ParameterFile(parameters={name: rng.standard_normal(shape).astype(np.float32) + 7 for name, shape in shapes.items()})


def values_of(assembly: Assembly) -> dict[str, Any]:
    return {name: parameter.d.copy() for name, parameter in assembly.network.parameters().items()}


@pytest.mark.parametrize("network", list(PARTS))
def test_another_number_of_classes_begins_just_the_last_layers_anew(network: str) -> None:
    file, assembly = file_of(assembly_for(80, network)), assembly_for(3, network, seed=5)
    drawn = values_of(assembly_for(3, network, seed=5))
    found = begin_with(assembly, file, what="coco.h5")
    assert list(found.redrawn) == LAST[network]
    for name, values in values_of(assembly).items():
        expected = drawn[name] if name in LAST[network] else file.parameters[name]
        np.testing.assert_array_equal(values, expected, err_msg=name)
        if name in LAST[network] and name.endswith("/b"):
            np.testing.assert_allclose(values, -2.19)  # one object in ten cells, as at every beginning


def test_each_tensor_that_begins_anew_has_its_line() -> None:
    found = begin_with(assembly_for(3), file_of(assembly_for(80)), what="coco.h5")
    first, *lines = str(found).splitlines()
    assert "parameters loaded" in first
    assert "2 not in the file" not in first
    assert lines == [
        "  hm_final/conv/W: begins anew, for another number of classes; 3x8x1x1 instead of 80x8x1x1",
        "  hm_final/conv/b: begins anew, for another number of classes; 3 instead of 80",
    ]


def test_with_one_class_more_or_fewer_too() -> None:
    for before, after in ((2, 3), (3, 2), (1, 2)):
        assert list(begin_with(assembly_for(after), file_of(assembly_for(before)), what="x.h5").redrawn) == LAST["resnet"]


def test_a_head_of_one_layer_begins_anew_as_a_whole() -> None:
    file = file_of(assembly_for(80, hidden_channels=0))
    assert list(begin_with(assembly_for(3, hidden_channels=0), file, what="x.h5").redrawn) == LAST["resnet"]


def test_the_same_number_of_classes_takes_all() -> None:
    file, assembly = file_of(assembly_for(3)), assembly_for(3)
    found = begin_with(assembly, file, what="x.h5")
    assert (found.redrawn, len(str(found).splitlines())) == ({}, 1)
    for name, values in values_of(assembly).items():
        np.testing.assert_array_equal(values, file.parameters[name], err_msg=name)


def test_a_file_in_another_layout_begins_alike() -> None:
    file = file_of(assembly_for(80))
    turned = ParameterFile(parameters=convert(file.parameters, layout="nhwc", channels=4))
    results = []
    for source in (file, turned):
        assembly = assembly_for(3)
        assert list(begin_with(assembly, source, what="x.h5").redrawn) == LAST["resnet"]
        results.append(values_of(assembly))
    for name, values in results[0].items():
        np.testing.assert_array_equal(results[1][name], values, err_msg=name)


def test_whatever_else_differs_is_an_error_and_nothing_is_taken() -> None:
    assembly = assembly_for(3)
    before = values_of(assembly)
    wide = file_of(assembly_for(80, hidden_channels=16))  # the last layer has another input too
    with pytest.raises(WeightsError, match=r"x\.h5: not the weights of this network: .*hm_conv1/conv/W \(16, .*"):
        begin_with(assembly, wide, what="x.h5")
    cut = file_of(assembly_for(80))
    del cut.parameters["hm_final/conv/b"]
    with pytest.raises(WeightsError, match=r"1 not in the file: hm_final/conv/b"):
        begin_with(assembly, cut, what="x.h5")
    for name, values in values_of(assembly).items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)


def test_patterns_freeze_parameters_and_their_statistics() -> None:
    network = assembly_for(3).network
    found = frozen_names(["conv1/*", "hm_final/conv/b"], network)
    assert found == {"conv1/conv/W", *(f"conv1/bn/{name}" for name in ("beta", "gamma", "mean", "var")), "hm_final/conv/b"}
    assert frozen_names([], network) == set()


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (["conv1/*", "res11/*"], r"train\.freeze\.1: 'res11/\*' matches no parameter of the network; near it: res1/\*"),
        (["*"], r"train\.freeze: \* match every parameter; nothing is left to train"),
        (["*/[Wb]", "*/bn/*"], r"train\.freeze: .* nothing is left to train"),
    ],
)
def test_patterns_that_match_nothing_or_all_are_refused(patterns: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        frozen_names(patterns, assembly_for(3).network)


def test_what_is_trained_differently_is_said() -> None:
    network = assembly_for(3).network
    solver = SolverConfig(groups=(GroupConfig(pattern="conv1/*", lr_factor=0.5), GroupConfig(pattern="res*", weight_decay=1e-4)))
    lines = plan(solver, frozen_names(["res4/*"], network), network)
    assert lines[0].startswith("frozen: 15 parameters (0.13 million values)")
    assert lines[1] == "conv1/*: 3 parameters with 0.5 times the learning rate"
    assert lines[2].endswith("parameters with 1 times the learning rate, weight decay 0.0001")
    assert plan(SolverConfig(), frozenset(), network) == []
    with pytest.raises(ConfigError, match=r"groups\.0\.pattern: 'conv9/\*' matches no parameter"):
        plan(SolverConfig(groups=(GroupConfig(pattern="conv9/*"),)), frozenset(), network)


@pytest.mark.parametrize(
    ("frozen", "held", "said"),
    [
        ([], ["*"], "lr_factor 0 holds every parameter; nothing is left to train"),
        (["conv1/*", "res*"], ["upsample*", "*hm*", "*"], "lr_factor 0 holds every parameter that train.freeze leaves"),
    ],
)
def test_groups_that_hold_all_that_is_not_frozen_are_refused(frozen: list[str], held: list[str], said: str) -> None:
    network = assembly_for(3).network
    solver = SolverConfig(groups=tuple(GroupConfig(pattern=pattern, lr_factor=0) for pattern in held))
    with pytest.raises(ConfigError, match=f"train.solver.groups: {said}"):
        plan(solver, frozen_names(frozen, network), network)
    one_moves = SolverConfig(groups=(GroupConfig(pattern="hm_final/*"), *solver.groups))
    assert plan(one_moves, frozen_names(frozen, network), network)


def test_the_stages_of_a_backbone_are_named_from_the_image_on() -> None:
    network = assembly_for(3).network
    found = stages_of(network)
    assert [names[0].partition("/")[0] for names in found] == ["conv1", "res1", "res2", "res3", "res4"]
    assert [name for names in found for name in names] == list(network.backbone_shapes())
    solver = SolverConfig(layer_decay=0.5, weight_decay=1e-4, no_decay=("biases", "batch_norm"))
    norms, backbone = plan(solver, frozenset(), network)
    number = sum(name.endswith(("/b", "/beta", "/gamma")) for name in network.parameter_shapes())
    assert norms == f"no weight decay: {number} parameters (biases, batch norm)"
    assert backbone.startswith("backbone: 5 stages, 0.0312 times the learning rate in that of conv1/")
