"""What every backbone, neck and head in the folders promises; a new file is tested the moment it exists."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet import plugins
from centernet.models.network import BACKBONES, HEADS, NECKS
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec, HeadSpec
from centernet.weights.identify import identify
from centernet.weights.layout import convert, input_kernel, shapes_of
from centernet.weights.match import assign
from centernet.weights.store import read_parameters, write_parameters

WIDTH = 0.125
SIDE = 64  # of the image, pixels; or the smallest a backbone takes
LEVELS = [FeatureSpec(4, 8), FeatureSpec(8, 16), FeatureSpec(16, 24), FeatureSpec(32, 32)]
ONE_LEVEL = ("identity",)  # necks that take a single feature
OUTPUTS = {
    "heatmap": HeadSpec(scope="hm", channels=3, kind="heatmap", bias=-2.19),
    "size": HeadSpec(scope="wh", channels=2, kind="regression"),
}
OWN_OUTPUTS = {  # of heads that are for one task alone
    "triplet": {
        f"{keypoint}_{kind}": HeadSpec(scope=f"{keypoint}_{kind}s", channels=2, kind="regression")
        for keypoint in ("tl", "br", "ct")
        for kind in ("heat", "regr")
    }
}
NAMES = json.loads((Path(__file__).parent / "parameter_names.json").read_text())
EVERYTHING = [(package, name) for package in (BACKBONES, NECKS, HEADS) for name in plugins.names(package)]
WITHOUT_PARAMETERS = [(NECKS, "identity")]
WITH_PARAMETERS = [plugin for plugin in EVERYTHING if plugin not in WITHOUT_PARAMETERS]

Inputs = list[nn.Variable]
Build = Callable[[Inputs, Ops], list[nn.Variable]]


def config_of(package: str, name: str) -> Any:
    """The plug-in's configuration, narrowed where it can be."""
    config = plugins.load(package, name).Config
    return config(width=WIDTH) if "width" in config.__dataclass_fields__ else config()


def builder(package: str, name: str, config: Any) -> Build:
    """The three kinds of plug-in as one kind of function."""
    module = plugins.load(package, name)
    if package == BACKBONES and hasattr(module, "stacks"):
        return lambda inputs, ops: [feature for levels in module.build(inputs[0], ops, config) for feature in levels]
    if package == BACKBONES:
        return lambda inputs, ops: list(module.build(inputs[0], ops, config))
    if package == NECKS:
        return lambda inputs, ops: [module.build(inputs, ops, config)]
    return lambda inputs, ops: list(module.build(inputs[0], ops, config, OWN_OUTPUTS.get(name, OUTPUTS)).values())


def side_of(package: str, name: str) -> int:
    """Of the image the plug-in is tested with."""
    module = plugins.load(package, name)
    return module.input_sizes(module.Config()).multiple if hasattr(module, "input_sizes") else SIDE


def levels_of(neck: str) -> list[FeatureSpec]:
    """What the neck is tested on."""
    return LEVELS[:1] if neck in ONE_LEVEL else LEVELS


def inputs_of(package: str, name: str, layout: str = "nchw") -> Inputs:
    """Random images or features the plug-in takes."""
    rng = np.random.default_rng(0)
    specs = {BACKBONES: [FeatureSpec(1, 3)], NECKS: levels_of(name), HEADS: LEVELS[:1]}[package]
    inputs, side = [], side_of(package, name)
    for spec in specs:
        values = rng.standard_normal((2, spec.channels, side // spec.stride, side // spec.stride)).astype(np.float32)
        inputs.append(nn.Variable.from_numpy_array(values.transpose(0, 2, 3, 1) if layout == "nhwc" else values))
    return inputs


def outputs_of(package: str, name: str, config: Any) -> list[FeatureSpec]:
    """What the plug-in says it gives out."""
    module = plugins.load(package, name)
    if package == BACKBONES:
        return list(module.features(config)) * (module.stacks(config) if hasattr(module, "stacks") else 1)
    if package == NECKS:
        return [module.features(config, levels_of(name))]
    return [FeatureSpec(LEVELS[0].stride, head.channels) for head in OWN_OUTPUTS.get(name, OUTPUTS).values()]


def all_parameters() -> dict[str, nn.Variable]:
    return dict(nn.get_parameters(grad_only=False))


@pytest.mark.parametrize(("package", "name"), EVERYTHING)
def test_shapes_are_those_the_plugin_promises_in_both_layouts(package: str, name: str) -> None:
    config = config_of(package, name)
    for layout in ("nchw", "nhwc"):
        nn.clear_parameters()
        outputs = builder(package, name, config)(inputs_of(package, name, layout), Ops(layout=layout, seed=None))
        expected = []
        for spec in outputs_of(package, name, config):
            side = side_of(package, name) // spec.stride
            expected.append((2, side, side, spec.channels) if layout == "nhwc" else (2, spec.channels, side, side))
        assert [output.shape for output in outputs] == expected


@pytest.mark.parametrize("name", plugins.names(BACKBONES))
def test_backbones_give_the_finest_feature_first(name: str) -> None:
    strides = [spec.stride for spec in outputs_of(BACKBONES, name, config_of(BACKBONES, name))]
    assert strides == sorted(strides)


@pytest.mark.parametrize(("package", "name"), WITH_PARAMETERS)
def test_every_trainable_parameter_gets_a_finite_gradient(package: str, name: str) -> None:
    outputs = builder(package, name, config_of(package, name))(inputs_of(package, name), Ops(training=True))
    rng = np.random.default_rng(1)
    # Random weights: the plain mean of a batch norm's output does not depend on what is below it.
    terms = [F.sum(output * nn.Variable.from_numpy_array(rng.standard_normal(output.shape))) for output in outputs]
    loss = sum(terms[1:], start=terms[0])
    parameters = nn.get_parameters()
    for parameter in parameters.values():
        parameter.g = 0
    loss.forward()
    loss.backward()
    for key, parameter in parameters.items():
        assert np.isfinite(parameter.g).all(), key
        assert parameter.g.any(), key


@pytest.mark.parametrize(("package", "name"), WITH_PARAMETERS)
def test_a_saved_and_loaded_network_gives_the_same_output(package: str, name: str, tmp_path: Path) -> None:
    build, inputs = builder(package, name, config_of(package, name)), inputs_of(package, name)
    nn.forward_all(build(inputs, Ops(training=True)))  # so that the running statistics are not the initial ones
    before = build(inputs, Ops())
    nn.forward_all(before)
    write_parameters(tmp_path / "model.h5", {key: variable.d for key, variable in all_parameters().items()})
    with nn.parameter_scope("", OrderedDict()):
        after = build(inputs, Ops(seed=1))
        report = assign(read_parameters(tmp_path / "model.h5").parameters, all_parameters(), what="model.h5", allow_unused=())
        assert (report.unused, report.missing) == ((), ())
        nn.forward_all(after)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.d, b.d)


@pytest.mark.parametrize(("package", "name"), WITH_PARAMETERS)
def test_a_second_build_shares_the_parameters(package: str, name: str) -> None:
    build, inputs = builder(package, name, config_of(package, name)), inputs_of(package, name)
    build(inputs, Ops())
    first = all_parameters()
    build(inputs, Ops(training=True, seed=9))
    assert all_parameters() == first


@pytest.mark.parametrize("name", plugins.names(BACKBONES))
def test_the_kernel_that_sees_the_image_takes_a_fourth_channel_of_zeros(name: str) -> None:
    builder(BACKBONES, name, config_of(BACKBONES, name))(inputs_of(BACKBONES, name), Ops())
    parameters = {key: variable.d.copy() for key, variable in all_parameters().items()}
    kernel = input_kernel(parameters)
    assert kernel == next(iter(parameters))
    padded = convert(parameters, channels=4)
    assert padded[kernel].shape[1] == 4
    assert not padded[kernel][:, 3].any()
    assert shapes_of(convert(padded, channels=3)) == shapes_of(parameters)


@pytest.mark.parametrize(("package", "name"), WITH_PARAMETERS)
def test_parameters_convert_to_the_shapes_of_the_other_layout(package: str, name: str) -> None:
    build = builder(package, name, config_of(package, name))
    build(inputs_of(package, name), Ops(seed=None))
    parameters = {key: variable.d.copy() for key, variable in all_parameters().items()}
    nn.clear_parameters()
    build(inputs_of(package, name, "nhwc"), Ops(layout="nhwc", seed=None))
    expected = {key: tuple(variable.shape) for key, variable in all_parameters().items()}
    assert shapes_of(convert(parameters, layout="nhwc")) == expected


@pytest.mark.parametrize(("package", "name"), EVERYTHING)
def test_names_and_order_of_parameters_never_change(package: str, name: str) -> None:
    """They are a file format. A new plug-in needs its line in `parameter_names.json`; the message has it."""
    config = plugins.load(package, name).Config()
    builder(package, name, config)(inputs_of(package, name), Ops(seed=None))
    assert bool(all_parameters()) == ((package, name) in WITH_PARAMETERS)
    rows = [[key, list(variable.shape), variable.need_grad] for key, variable in all_parameters().items()]
    line = {"count": len(rows), "sha256": hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()}
    assert NAMES.get(f"{package.rsplit('.', 1)[-1]}/{name}") == line, json.dumps(line)


@pytest.mark.parametrize(
    ("name", "options", "architecture"),
    [
        ("dla", {}, "dla34"),
        ("dlav0", {}, "dlav034"),
        ("hourglass", {}, "hourglass104"),
        ("hourglass", {"num_layers": 52}, "hourglass52"),
        ("mobilenet_v2", {}, "mobilenet_v2"),
        ("mobilenet_v3", {}, "mobilenet_v3 small"),
        ("mobilenet_v3", {"size": "large"}, "mobilenet_v3 large"),
        ("resnet", {}, "resnet18"),
        ("resnet", {"num_layers": 101}, "resnet101"),
        ("resnext", {}, "resnext50"),
        ("wide_resnet", {"num_layers": 101}, "wide_resnet101"),
    ],
)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_backbone_is_recognised_by_its_names_and_shapes(name: str, options: dict[str, Any], architecture: str, layout: Any) -> None:
    config = plugins.load(BACKBONES, name).Config(width=WIDTH, **options)
    builder(BACKBONES, name, config)(inputs_of(BACKBONES, name, layout), Ops(layout=layout, seed=None))
    identity = identify({key: tuple(variable.shape) for key, variable in all_parameters().items()})
    assert (identity.architecture, identity.layout, identity.input_channels) == (architecture, layout, 3)
