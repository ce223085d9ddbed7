"""Every network whose golden is there: weights by the rule in the original's names, imported, give the original's outputs.

And the originals' state dicts: all of one that this project can build is taken, and nothing else of the network is missing.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import nnabla as nn
import numpy as np
import pytest

from centernet.models import torch_names
from centernet.models.backbones import dla, hourglass, mobilenet_v2, mobilenet_v3, resnet, resnext, wide_resnet
from centernet.models.heads import conv
from centernet.models.necks import deconv, dla_up, dlav0_ida, identity, resdcn
from centernet.models.network import Network
from centernet.models.ops import Ops
from centernet.models.specs import HeadSpec
from centernet.weights.torch_identify import architecture, head_channels
from centernet.weights.torch_import import import_state

pytestmark = pytest.mark.reference

TOLERANCE = 1e-3  # of the standard deviation of an output
PARTS: dict[str, tuple[Any, Any, int]] = {  # backbone, neck and hidden channels of the heads, by what `architecture` says
    **{f"res_{n}": (resnet.Config(num_layers=n), deconv.Config(), 64) for n in (18, 101)},
    **{f"resdcn_{n}": (resnet.Config(num_layers=n), resdcn.Config(), 64) for n in (18, 101)},
    **{f"resnet{n}": (resnet.Config(num_layers=n), deconv.Config(), 64) for n in (18, 34, 50, 101, 152)},
    "resnext50_32x4d": (resnext.Config(num_layers=50), deconv.Config(), 64),
    "resnext101_32x8d": (resnext.Config(num_layers=101), deconv.Config(), 64),
    "wide_resnet50_2": (wide_resnet.Config(num_layers=50), deconv.Config(), 64),
    "wide_resnet101_2": (wide_resnet.Config(num_layers=101), deconv.Config(), 64),
    "mobilenet_v2": (mobilenet_v2.Config(), deconv.Config(), 64),
    "mobilenet_v3_small": (mobilenet_v3.Config(size="small"), deconv.Config(), 64),
    "mobilenet_v3_large": (mobilenet_v3.Config(size="large"), deconv.Config(), 64),
    "dla_34": (dla.Config(), dla_up.Config(), 256),
    "dlav0_34": (dla.Config(), dlav0_ida.Config(), 256),
    "hourglass_104": (hourglass.Config(), identity.Config(), 256),
}
TAPS = {  # of torchvision's networks: the golden's outputs that are our levels
    "mobilenet_v2": ("f3", "f6", "f13", "f18"),
    "mobilenet_v3_large": ("f3", "f6", "f12", "f16"),
    "mobilenet_v3_small": ("f1", "f3", "f8", "f12"),
}
RESNET_TAPS = ("c2", "c3", "c4", "c5")
QUICK = ("res_18_ctdet", "resdcn_18_ctdet", "dla_34_ctdet", "dlav0_34_ctdet", "resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small")
SLOW_STATES = ("hourglass", "152", "101")
GAINS = (
    (r"deconv_layers\.\d+\.weight|(proj|node)_\d\.conv\.weight", 4.0),
    (r"conv[23]\.weight", 0.25),
    (r"(skip|downsample|project)\.0\.weight", 1.0),
)


def made_by_rule(key: str, shape: tuple[int, ...], seed_key: str) -> Any:
    """One parameter of an original, all in float32."""
    values = np.random.RandomState(crc32(seed_key.encode()) & 0xFFFFFFFF).randn(*shape).astype(np.float32)
    if key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
        return np.abs(values) * np.float32(0.1) + np.float32(1)
    if len(shape) < 2:
        return values * np.float32(0.05)
    is_transposed = len(shape) == 4 and shape[2] % 2 == 0
    fan = (4 if shape[1] == 1 else 4 * shape[0]) if is_transposed else np.prod(shape[1:])
    values = values * np.float32(np.sqrt(gain_of(key, shape) / fan))
    return values * np.float32(0.2) if "conv_offset_mask" in key else values


def gain_of(key: str, shape: tuple[int, ...]) -> float:
    found = next((gain for pattern, gain in GAINS if re.search(f"(^|\\.)({pattern})$", key)), 2.0)
    if key.startswith(("inters_.", "cnvs_.")):
        found = 1.0
    if found == 4 and shape[2:] != (3, 3):
        found = 2.0
    if key.startswith("features.") and shape[2:] == (1, 1) and shape[0] < shape[1]:
        found = 0.5
    return found * (1.4 if ".block." in key else 1)


def state_dicts(reference: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    models = json.loads(gzip.decompress((reference / "torch" / "torch_state_dicts.json.gz").read_bytes()))["models"]
    return {name: {key: tuple(shape) for key, shape in keys.items()} for name, keys in models.items()}


def state_of(name: str, reference: Path) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a golden's network."""
    states = state_dicts(reference)
    if f"torchvision/{name}" in states:
        return states[f"torchvision/{name}"]
    arch, task = re.fullmatch(r"(\w+?(?:_\d+)?)_(ctdet|multi_pose|ddd)", name).groups()  # type: ignore[union-attr]
    return states[f"xy/{arch}/{task}_coco" if task == "ctdet" else f"xy/{arch}/{task}"]


def network_of(shapes: dict[str, tuple[int, ...]]) -> Network:
    """The network that a checkpoint's keys ask for, with its heads."""
    name = architecture(shapes)
    assert name in PARTS, name
    backbone, neck, hidden = PARTS[name]
    heads = {head: HeadSpec(scope=head, channels=channels, kind="regression") for head, channels in head_channels(shapes).items()}
    return Network(backbone, neck, conv.Config(hidden_channels=hidden), heads, scope=OrderedDict())


def outputs_of(name: str, network: Network, image: nn.Variable, logits: Any) -> Iterator[tuple[str, Any]]:
    """Golden's name of an output without its channels -> our values."""
    if name in TAPS or not network.heads:
        with network.parameter_scope():
            levels = network._backbone.build(image, Ops(), network.backbone)
        nn.forward_all(levels)
        yield from zip(TAPS.get(name, RESNET_TAPS), (level.d for level in levels), strict=True)
        if name not in TAPS:
            yield "logits", levels[-1].d.mean(axis=(2, 3)) @ logits["fc.weight"].T + logits["fc.bias"]
        return
    stacks = network(image)
    nn.forward_all([output for outputs in stacks for output in outputs.values()], clear_no_need_grad=True)
    for number, outputs in enumerate(stacks):
        prefix = "" if number == len(stacks) - 1 else f"stack{number}_"
        yield from ((f"{prefix}{head}", output.d) for head, output in outputs.items())


def check_golden(name: str, reference: Path) -> None:
    """Weights by the rule, imported; every output of the golden that is one of ours is compared."""
    folder = reference / "torch"
    index = json.loads((folder / "nets_index.json").read_text())[name]
    rule = json.loads((folder / "rule.json").read_text())
    shapes = state_of(name, reference)
    state = {key: made_by_rule(key, shape, rule["key_prefix"] + key + rule["key_suffix"]) for key, shape in shapes.items() if shape}
    network = network_of(shapes)
    parameters = network.parameters()
    names = torch_names.torch_names(network) if network.heads else torch_names.backbone_torch_names(network)
    own_shapes = {own: tuple(parameters[own].shape) for own in names}
    values, report = import_state(state, names, own_shapes, what=name, allow_unused=torch_names.NEVER_USED)
    assert report.missing == ()
    for own, array in values.items():
        parameters[own].d = array
    image = nn.Variable.from_numpy_array(np.random.RandomState(rule["image_seed"]).randn(*index["input"]).astype(np.float32))
    golden = np.load(folder / f"net_{name}.npz")
    rows = {output.split("__")[0]: (output, row) for output, row in index["outputs"].items()}
    compared = set()
    for output, found in outputs_of(name, network, image, state):
        if output not in rows:
            continue
        key, row = rows[output]
        expected = golden[key]
        error = np.abs(found[:, :: row["channel_stride"]] - expected).max() / expected.std()
        assert error <= TOLERANCE, (name, key, error)
        compared.add(output)
    assert compared >= ({*TAPS[name]} if name in TAPS else set(rows)), set(rows) - compared


@pytest.mark.parametrize("name", QUICK)
def test_an_imported_checkpoint_gives_the_originals_outputs(name: str, reference: Path) -> None:
    check_golden(name, reference)


@pytest.mark.slow
def test_every_imported_checkpoint_gives_the_originals_outputs(reference: Path) -> None:
    index = json.loads((reference / "torch" / "nets_index.json").read_text())
    known = [name for name in index if not name.startswith(("_", "keypoint_triplets")) and name not in QUICK]
    assert known
    for name in known:
        check_golden(name, reference)


def check_state(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    network = network_of(shapes)
    own = network.parameter_shapes() if network.heads else network.backbone_shapes()
    names = torch_names.torch_names(network) if network.heads else torch_names.backbone_torch_names(network)
    state = {f"module.{key}": np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
    _, report = import_state(state, names, own, what=name, allow_unused=torch_names.NEVER_USED)
    assert report.missing == (), name
    assert len(report.taken) == len(own), name


def test_every_small_state_dict_is_taken_whole(reference: Path) -> None:
    found = {name: shapes for name, shapes in state_dicts(reference).items() if not name.startswith("keypoint_triplets")}
    small = [name for name in found if not any(word in name for word in SLOW_STATES)]
    assert small
    for name in small:
        check_state(name, found[name])


@pytest.mark.slow
def test_every_large_state_dict_is_taken_whole(reference: Path) -> None:
    found = {name: shapes for name, shapes in state_dicts(reference).items() if not name.startswith("keypoint_triplets")}
    large = [name for name in found if any(word in name for word in SLOW_STATES)]
    assert large
    for name in large:
        check_state(name, found[name])


def test_every_state_dict_is_known_by_name(reference: Path) -> None:
    for name, shapes in state_dicts(reference).items():
        family, model = name.split("/")[:2]
        found = architecture(shapes)
        if family == "torchvision":
            assert found == model
        elif family == "xy":
            assert found == {"hourglass": "hourglass_104"}.get(model, model)
        else:
            assert found in ("keypoint_triplets_104", "keypoint_triplets_52"), (name, found)
