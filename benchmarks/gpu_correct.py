"""Whether a GPU computes what it should: `make gpu-correct`, at most eight minutes, one JSON file and one table.

    make gpu-correct [PYTHON=...]                         on a machine with a GPU; results in exp/gpu
    python benchmarks/gpu_correct.py --device cpu --quick    anywhere: whether this program works

For ResNet-18 and DLAv0-34: golden 11 (outputs) and 12 (three training steps) of the predecessor, in $CENTERNET_REFERENCE; outputs, losses
and gradients in float32 against NNabla's CPU, in half precision against float32, in NHWC against NCHW. Then mixed precision and float32
train the rendered shapes for 2000 steps each: no NaN, and the same AP to a point.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import nnabla as nn
import numpy as np

from centernet.engine.communicator import Single
from centernet.engine.context import resolve
from centernet.engine.precision import LossScaler
from centernet.engine.solver import Solver, SolverConfig
from centernet.engine.step import TrainStep
from gpu_networks import NETWORKS, Arrays, Kind, batch_of, difference, drawn, losses_of, make, passed
from gpu_parts import Part, Row, Settings, Skipped, main
from gpu_shapes import train_shapes
from report import ROOT

EXACT = {"NVIDIA_TF32_OVERRIDE": "0"}  # else cuDNN may round what float32 convolutions take to ten bits
SCOPES = {"heatmap": "hm", "offset": "reg", "size": "wh"}
OUTPUTS, GRADIENTS = 1e-3, 1e-2  # relative: two machines' float32
HALF_OUTPUTS, HALF_GRADIENTS = 0.02, 0.15  # on NNabla's CPU 0.005 and 0.06: rounding moves maxima and signs of ReLU
CLASSES = 4
POINTS = 1.0  # of AP


def reference(name: str) -> Any:
    """A golden file and the rule of its weights."""
    folder = Path(os.environ.get("CENTERNET_REFERENCE") or ROOT.parent / "shared" / "reference") / "nnabla"
    missing = [str(folder / part) for part in (name, "rule.json") if not (folder / part).exists()]
    if missing:
        text = f"no {' and no '.join(missing)}: copy the reference folder to this machine and name it in CENTERNET_REFERENCE"
        raise Skipped(f"{text}; what is compared with the CPU needs no golden files", is_failure=True)
    return np.load(folder / name), json.loads((folder / "rule.json").read_text())


def by_rule(shapes: Mapping[str, tuple[int, ...]], keys: Mapping[str, str], *, rule: str = "A") -> Arrays:
    """The weights of golden files, all in float32."""
    values: Arrays = {}
    for name, shape in shapes.items():
        seed = crc32((keys["key_prefix"] + name + keys["key_suffix"]).encode()) & 0xFFFFFFFF
        drawn_ = np.random.RandomState(seed).randn(*shape).astype(np.float32)
        factor = 0.05
        if rule == "B" and name.endswith("deconv/W"):
            factor = 0.5 if shape[1] == 1 else np.sqrt(2 / (4 * shape[0]))
        elif rule == "B" and name.endswith("conv/W"):
            factor = np.sqrt(2 / np.prod(shape[1:]))
        is_scale = name.endswith(("/gamma", "/var"))
        values[name] = np.abs(drawn_) * np.float32(0.1) + np.float32(1) if is_scale else drawn_ * np.float32(factor)
    return values


def golden_outputs(settings: Settings) -> list[Row]:
    """Golden 11: the worst head of each network and mode."""
    golden, keys = reference("11_network_forward.npz")
    cases: dict[tuple[str, str], list[Any]] = {}
    for row in json.loads(str(golden["meta_json"])):
        if not settings.quick or row["net"].startswith("ruleA_resnet"):
            cases.setdefault((row["net"], row["mode"]), []).append(row)
    rows = []
    with nn.context_scope(resolve(settings.device).context):
        for (case, mode), heads in cases.items():
            rule, family, depth, classes = case.split("_")
            _, network = make(f"{family}_{depth}", num_classes=int(classes[2:]), kind=Kind(device=settings.device))
            shapes = network.parameter_shapes()
            for name, values in by_rule(shapes, keys, rule=rule.removeprefix("rule")).items():
                network.parameters()[name].d = values
            image = nn.Variable(heads[0]["x_shape"])
            image.d = np.random.RandomState(heads[0]["x_seed"]).randn(*image.shape).astype(np.float32)
            (outputs,) = network(image, training=mode == "train")
            nn.forward_all(list(outputs.values()))
            worst = 0.0
            for name, scope in SCOPES.items():
                expected = golden[f"{case}_{mode}_{scope}"]
                worst = max(worst, float(np.abs(outputs[name].d - expected).max() / np.abs(expected).max()))
            rows.append(Row(what=f"golden 11 {case} {mode}", value=worst, unit="of the maximum", aim=OUTPUTS))
    return rows


def golden_training(settings: Settings) -> list[Row]:
    """Golden 12: losses of three steps, and the lengths of the first one's gradients."""
    golden, keys = reference("12_train_steps.npz")
    rows = []
    for case in json.loads(str(golden["meta_json"])):
        net = case["net"]
        if settings.quick and not net.startswith("resnet"):
            continue
        with nn.context_scope(resolve(settings.device).context):
            task, network = make(net, num_classes=case["nc"], kind=Kind(device=settings.device))
            parameters = network.parameters()
            for name, values in by_rule(network.parameter_shapes(), keys).items():
                parameters[name].d = values
            step = TrainStep(
                losses_of(task, network),
                loss_weights=task.loss_weights,
                solver=Solver(SolverConfig(weight_decay=case["weight_decay"])),
                scaler=LossScaler(),
                communicator=Single(),
                counts=task.counts,
                parameters=parameters,
            )
            heatmap, mask = golden[f"{net}_hm"], golden[f"{net}_mask"][..., 0]
            arrays = {"image": golden[f"{net}_x"], "heatmap": heatmap, "indices": golden[f"{net}_ind"], "mask": mask}
            arrays |= {"size": golden[f"{net}_wh"], "offset": golden[f"{net}_reg"], "num_objects": mask.sum(axis=1)}
            arrays["num_peaks"] = (heatmap >= 1).sum(axis=(1, 2, 3)).astype(np.float32)
            losses = norms = 0.0
            for number, expected in enumerate(golden[f"{net}_losses"]):
                report = step.run(arrays, 1.25e-4)
                losses = max(losses, abs(report.total - float(expected[0])) / abs(float(expected[0])))
                if number == 0:
                    pairs = zip(golden[f"{net}_grad0_norm_names"], golden[f"{net}_grad0_norms"], strict=True)
                    norms = max(abs(float(np.linalg.norm(parameters[name].g)) - norm) / norm for name, norm in pairs)
        rows.append(Row(what=f"golden 12 {net} losses", value=losses, unit="relative", aim=2e-3))
        rows.append(Row(what=f"golden 12 {net} gradients' lengths", value=norms, unit="relative", aim=5e-3))
    return rows


def compared(settings: Settings, first: Kind, second: Kind, *, what: str, limits: tuple[float, float]) -> list[Row]:
    """Outputs and gradients of both networks, computed in two ways."""
    rows = []
    for name in NETWORKS:
        if settings.quick and name != "resnet_18":
            continue
        side, size = (32, 2) if settings.quick else (128, 4)
        _, network = make(name, num_classes=CLASSES, kind=Kind(device="cpu"), tiny=settings.quick)
        values, batch = drawn(network), batch_of(size=size, side=side, num_classes=CLASSES)
        one, other = (passed(name, kind, values, batch, num_classes=CLASSES, tiny=settings.quick) for kind in (first, second))
        rows.append(Row(what=f"{what} {name} outputs", value=difference(other.outputs, one.outputs), unit="relative", aim=limits[0]))
        value = difference(other.gradients, one.gradients)
        rows.append(Row(what=f"{what} {name} gradients", value=value, unit="relative", aim=limits[1]))
        trained = [
            passed(name, kind, values, batch, num_classes=CLASSES, tiny=settings.quick, batch_stat=True).losses for kind in (first, second)
        ]
        total = abs(sum(trained[1].values()) / sum(trained[0].values()) - 1)
        rows.append(Row(what=f"{what} {name} losses with batch statistics", value=total, unit="relative", aim=limits[0]))
    return rows


def against_cpu(settings: Settings) -> list[Row]:
    """float32 on the device, and on NNabla's CPU."""
    kinds = Kind(device="cpu"), Kind(device=settings.device)
    return compared(settings, *kinds, what="float32, device against CPU", limits=(OUTPUTS, GRADIENTS))


def half_against_float(settings: Settings) -> list[Row]:
    """Both on the device."""
    kind = Kind(device=settings.device)
    limits = (HALF_OUTPUTS, HALF_GRADIENTS)
    return compared(settings, kind, replace(kind, compute="half"), what="half against float32", limits=limits)


def layouts_in_float(settings: Settings) -> list[Row]:
    """NHWC with four input channels against NCHW with three, float32."""
    kind = Kind(device=settings.device)
    other = replace(kind, layout="nhwc", channels=4)
    return compared(settings, kind, other, what="float32, NHWC against NCHW", limits=(OUTPUTS, GRADIENTS))


def layouts_in_half(settings: Settings) -> list[Row]:
    """The same in half precision, against float32 in NCHW: what the `_mp` configurations compute."""
    kind = Kind(device=settings.device)
    other = replace(kind, compute="half", layout="nhwc", channels=4)
    return compared(settings, kind, other, what="half NHWC against float32 NCHW", limits=(HALF_OUTPUTS, HALF_GRADIENTS))


def training(half: bool) -> Callable[[Settings], list[Row]]:
    """A part that trains the shapes."""

    def run(settings: Settings) -> list[Row]:
        name = "half" if half else "float32"
        watch, precision = train_shapes(settings, half=half)
        return [
            Row(what=f"shapes {name} losses not finite", value=watch.bad, unit=f"of {watch.steps} steps", aim=0),
            Row(what=f"shapes {name} skipped", value=watch.skipped, unit=f"of {watch.steps} steps"),
            Row(what=f"shapes {name} AP", value=100 * precision, unit="points"),
        ]

    return run


def summary(values: dict[str, float]) -> list[Row]:
    """How far apart the two AP are."""
    found = [values.get(f"shapes {name} AP", math.nan) for name in ("half", "float32")]
    value = abs(found[0] - found[1])
    return [Row(what="AP, half against float32", value=value, unit="points apart", aim=POINTS)] if not math.isnan(value) else []


PARTS = [
    Part("half", half_against_float, 60),
    Part("half-nhwc", layouts_in_half, 60, needs_gpu=True),
    Part("cpu", against_cpu, 90, environment=EXACT),
    Part("nhwc", layouts_in_float, 60, needs_gpu=True, environment=EXACT),
    Part("golden-outputs", golden_outputs, 60, environment=EXACT),
    Part("golden-training", golden_training, 60, environment=EXACT),
    Part("shapes-half", training(half=True), 170),
    Part("shapes-float", training(half=False), 170),
]

if __name__ == "__main__":
    sys.exit(main("What a GPU computes", PARTS, summary))
