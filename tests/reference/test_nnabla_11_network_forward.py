"""Golden 11: the predecessor's networks, in inference and in training mode, from weights made by a rule."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any
from zlib import crc32

import nnabla as nn
import numpy as np
import pytest

from centernet import plugins
from centernet.models.heads import conv
from centernet.models.network import BACKBONES, NECKS, Network
from centernet.models.specs import HeadSpec

pytestmark = pytest.mark.reference

SCOPES = {"heatmap": "hm", "offset": "reg", "size": "wh"}
TOLERANCE = {"test": 1e-4, "train": 2e-4}  # of max |out|
FAMILY = {"resnet": ("deconv", 64), "dlav0": ("dlav0_up", 256)}  # neck and hidden head channels


def rule_values(name: str, shape: tuple[int, ...], rule: str, seed_key: str) -> Any:
    """One parameter of the rule that made the golden file, all in float32."""
    values = np.random.RandomState(crc32(seed_key.encode()) & 0xFFFFFFFF).randn(*shape).astype(np.float32)
    if name.endswith(("/gamma", "/var")):
        return np.abs(values) * np.float32(0.1) + np.float32(1)
    if rule == "B" and name.endswith("deconv/W"):
        return values * np.float32(0.5 if shape[1] == 1 else np.sqrt(2 / (4 * shape[0])))
    if rule == "B" and name.endswith("conv/W"):
        return values * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    return values * np.float32(0.05)


def network_of(case: str) -> tuple[Network, str]:
    """`ruleA_resnet_18_hm80` -> the network and 'A'."""
    rule, family, layers, classes = case.split("_")
    neck, hidden = FAMILY[family]
    num_classes = int(classes.removeprefix("hm"))
    heads = {name: HeadSpec(scope=scope, channels=num_classes if scope == "hm" else 2, kind="regression") for name, scope in SCOPES.items()}
    network = Network(
        plugins.load(BACKBONES, family).Config(num_layers=int(layers)),
        plugins.load(NECKS, neck).Config(),
        conv.Config(hidden_channels=hidden),
        heads,
        scope=OrderedDict(),
    )
    return network, rule.removeprefix("rule")


def cases(reference: Path) -> list[tuple[str, str]]:
    meta = json.loads(str(np.load(reference / "nnabla" / "11_network_forward.npz")["meta_json"]))
    return sorted({(row["net"], row["mode"]) for row in meta})


def test_outputs_and_running_statistics_equal_the_predecessors(reference: Path) -> None:
    golden = np.load(reference / "nnabla" / "11_network_forward.npz")
    meta = json.loads(str(golden["meta_json"]))
    keys = json.loads((reference / "nnabla" / "rule.json").read_text())
    compared = 0
    for case, mode in cases(reference):
        rows = {row["head"]: row for row in meta if row["net"] == case and row["mode"] == mode}
        network, rule = network_of(case)
        parameters = network.parameters()
        for name, variable in parameters.items():
            variable.d = rule_values(name, variable.shape, rule, keys["key_prefix"] + name + keys["key_suffix"])
        row = rows["hm"]
        image = nn.Variable(row["x_shape"])
        image.d = np.random.RandomState(row["x_seed"]).randn(*row["x_shape"]).astype(np.float32)
        (outputs,) = network(image, training=mode == "train")
        nn.forward_all(list(outputs.values()), clear_no_need_grad=True)
        for name, scope in SCOPES.items():
            expected = golden[f"{case}_{mode}_{scope}"]
            error = np.abs(outputs[name].d - expected).max() / np.abs(expected).max()
            assert error < TOLERANCE[mode], (case, mode, name, error)
            compared += 1
        if mode == "train":
            for key in (key for key in golden.files if key.startswith(f"{case}_running:")):
                expected = golden[key]
                error = np.abs(parameters[key.split(":")[1]].d - expected).max() / np.abs(expected).max()
                assert error < 1e-4, (key, error)
                compared += 1
    assert compared >= len(meta)
