"""Golden 12: three training steps of the predecessor, from weights made by a rule, on one fixed batch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from zlib import crc32

import nnabla as nn
import numpy as np
import pytest

from centernet import plugins
from centernet.engine.communicator import Single
from centernet.engine.precision import LossScaler
from centernet.engine.solver import Solver, SolverConfig
from centernet.engine.step import TrainStep
from centernet.models.heads import conv
from centernet.models.network import BACKBONES, NECKS, Network
from centernet.structures import ClassTable
from centernet.tasks import ctdet
from centernet.tasks.base import Task

pytestmark = pytest.mark.reference

FAMILY = {"resnet": ("deconv", 64), "dlav0": ("dlav0_up", 256)}  # neck and hidden head channels
UNUSED = "fc/"  # the predecessor's left-over layer: not built here
TOLERANCE = {"losses": 2e-3, "norms": 5e-3, "gradient": 3e-2, "parameter": 5e-4}


def rule_a(name: str, shape: tuple[int, ...], seed_key: str) -> Any:
    values = np.random.RandomState(crc32(seed_key.encode()) & 0xFFFFFFFF).randn(*shape).astype(np.float32)
    if name.endswith(("/gamma", "/var")):
        return np.abs(values) * np.float32(0.1) + np.float32(1)
    return values * np.float32(0.05)


def make(net: str, num_classes: int, keys: dict[str, str]) -> tuple[Task, Network]:
    family, layers = net.split("_")
    neck, hidden = FAMILY[family]
    task = ctdet.build(ctdet.Config(), ClassTable(tuple(f"class{i}" for i in range(num_classes))))
    backbone = plugins.load(BACKBONES, family).Config(num_layers=int(layers))
    network = Network(backbone, plugins.load(NECKS, neck).Config(), conv.Config(hidden_channels=hidden), task.heads)
    for name, variable in network.parameters().items():
        variable.d = rule_a(name, variable.shape, keys["key_prefix"] + name + keys["key_suffix"])
    return task, network


def batch_of(golden: Any, net: str) -> dict[str, Any]:
    heatmap, mask = golden[f"{net}_hm"], golden[f"{net}_mask"][..., 0]
    return {
        "image": golden[f"{net}_x"],
        "heatmap": heatmap,
        "indices": golden[f"{net}_ind"],
        "size": golden[f"{net}_wh"],
        "offset": golden[f"{net}_reg"],
        "mask": mask,
        "num_peaks": (heatmap >= 1).sum(axis=(1, 2, 3)).astype(np.float32),
        "num_objects": mask.sum(axis=1),
    }


def cases(reference: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(str(np.load(reference / "nnabla" / "12_train_steps.npz")["meta_json"]))
    return rows


def test_three_steps_give_the_predecessors_losses_gradients_and_parameters(reference: Path) -> None:
    golden = np.load(reference / "nnabla" / "12_train_steps.npz")
    keys = json.loads((reference / "nnabla" / "rule.json").read_text())
    for case in cases(reference):
        net = case["net"]
        task, network = make(net, case["nc"], keys)
        step = TrainStep(
            lambda inputs, task=task, network=network: task.losses(network(inputs["image"], training=True), inputs),
            loss_weights=task.loss_weights,
            solver=Solver(SolverConfig(weight_decay=case["weight_decay"])),
            scaler=LossScaler(),
            communicator=Single(),
            counts=task.counts,
            parameters=network.parameters(),
        )
        batch = batch_of(golden, net)
        rate = float(re.search(r"alpha ([\d.e-]+)", case["adam"]).group(1))
        for i, expected in enumerate(golden[f"{net}_losses"]):
            report = step.run(batch, rate)
            found = [report.total, *(report.losses[name] for name in ("heatmap", "size", "offset"))]
            np.testing.assert_allclose(found, expected, rtol=TOLERANCE["losses"], err_msg=f"{net} step {i}")
            if i == 0:
                check_gradients(golden, net, network)
        check_parameters(golden, net, network)
        nn.clear_parameters()


def check_gradients(golden: Any, net: str, network: Network) -> None:
    gradients = {name: parameter.g for name, parameter in network.parameters().items()}
    for name, norm in zip(golden[f"{net}_grad0_norm_names"], golden[f"{net}_grad0_norms"], strict=True):
        assert np.linalg.norm(gradients[name]) == pytest.approx(norm, rel=TOLERANCE["norms"]), name
    for key in golden.files:
        if key.startswith(f"{net}_grad0:"):
            expected = golden[key]
            error = np.abs(gradients[key.split(":")[1]] - expected).max() / np.abs(expected).max()
            assert error < TOLERANCE["gradient"], key


def check_parameters(golden: Any, net: str, network: Network) -> None:
    parameters = network.parameters()
    for key in golden.files:
        name = key.partition(":")[2]
        if key.startswith(f"{net}_after3:") and not name.startswith(UNUSED):
            np.testing.assert_allclose(parameters[name].d, golden[key], atol=TOLERANCE["parameter"], rtol=1e-4, err_msg=name)
