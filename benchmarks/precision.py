"""AP of one detector on real images in float32, bfloat16 and int8, each computed by OpenVINO on the CPU.

    python benchmarks/precision.py [--data_dir DIR] [--checkpoint FILE.h5] [--output DIR]

Claims: int8 loses at most 1 point of AP, bfloat16 at most 0.2.

The data set is BCCD (blood cells, Pascal VOC layout: 205 images to train and to calibrate int8, 159 to measure AP); without it nothing
is measured. Without a checkpoint a quarter-width DLAv0-34 is trained first, a few minutes on two cores. A checkpoint of another data
set is measured on that, in `--data_dir`.

A CPU with AVX-512 but without bfloat16 arithmetic imitates it: what convolutions take and give is rounded to bfloat16, sums are
float32, as on CPUs that have it. The table says so; where even that is not to be had, bfloat16 is skipped.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import openvino
from openvino import opset13 as operations

from centernet.engine.communicator import Single
from centernet.errors import DeviceError
from centernet.experiment import choice, evaluate, model_files
from centernet.experiment.assembly import open_split
from centernet.experiment.detector import Detector, Options
from centernet.experiment.inference_graph import Machine, PrecisionChoice
from centernet.experiment.schema import DataConfig
from centernet.export import quantization
from centernet.inference import openvino_session
from centernet.inference.openvino_session import num_cores, openvino_core
from report import ROOT, Claim, environment, finish

DATA = ROOT.parent / "shared" / "data" / "bccd"
MOST_LOST = {"bfloat16": 0.2, "int8": 1.0}  # points of AP
K = 100  # detections per image
EXPERIMENT = """\
task: {name: ctdet, size_weight: 0.3}
data:
  dataset:
    name: voc
    train: {folders: [.], image_sets: [train]}
    val: {folders: [., .], image_sets: [val, test]}
  input_size: [128, 160]
  augment: {random_crop: false, color: false}
model:
  backbone: {name: dlav0, width: 0.25}
  neck: {name: dlav0_up}
  head: {name: conv, hidden_channels: 32}
  pretrained_model_dir: null
train:
  epochs: 18
  global_batch_size: 8
  schedule: {kind: cosine, base_lr: 3e-3, warmup_epochs: 1}
  validate_every: 1000
"""


@dataclass(frozen=True)
class Measured:
    """AP in [0, 1], over all classes and of each; detections as COCO's result list; how: what computed them."""

    how: str
    ap: float
    per_class: Mapping[str, float]
    detections: list[dict[str, object]]


class ImitatedCore:
    """OpenVINO's core, saying what it would say if the CPU had bfloat16."""

    def __init__(self) -> None:
        core = openvino_core()
        self.read_model, self.compile_model = core.read_model, core.compile_model

    def get_property(self, device: str, name: str) -> list[str]:
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return ["FP32", "BF16"]


def centernet(*words: object) -> None:
    """Run a command of the console; end with its exit code if it fails."""
    code = subprocess.run([sys.executable, "-m", "centernet", *map(str, words)], env=environment()).returncode
    if code:
        sys.exit(code)


def trained(data_dir: Path, folder: Path) -> Path:
    """The checkpoint of a detector that is trained into the folder."""
    experiment = folder / "experiment.yaml"
    experiment.write_text(EXPERIMENT)
    processes = min(2, num_cores())
    centernet("train", "--train-config", experiment, "--data_dir", data_dir, "-o", folder, "--processes", processes)
    return folder / "checkpoints" / "params_best.h5"


def in_eight_bits(checkpoint: Path, data_dir: Path, folder: Path) -> Path:
    """The same detector as an exported file, calibrated with images of the training split."""
    path = folder / "int8.xml"
    given = ("--decode", "--K", K, "--precision", "int8", "--data_dir", data_dir)
    centernet("export", checkpoint, "-o", path, *given, "--max-drop", 100)  # the claim says what may be lost
    return path


def opened(path: Path, precision: PrecisionChoice) -> Detector:
    """A model file as OpenVINO computes it."""
    machine = Machine(runtime="openvino", precision=precision, extension="cpu", performance="throughput")
    return model_files.load(path, machine=machine, options=Options(k=K, batch_size=1))


def opened_in_bfloat16(path: Path) -> tuple[Detector, str]:
    """A model file in bfloat16, and how: by the CPU or imitated; DeviceError where the CPU can do neither."""
    try:
        detector = opened(path, "bfloat16")
    except DeviceError:
        if not can_imitate():
            raise
        with patch.object(openvino_session, "openvino_core", ImitatedCore):
            detector = opened(path, "bfloat16")
        return detector, f"{detector.session.summary} (imitated)"
    return detector, detector.session.summary


def can_imitate() -> bool:
    """Whether OpenVINO computes in bfloat16 on this CPU if told to, however slowly."""
    number = operations.parameter([1], openvino.Type.f32)
    model = openvino.Model([operations.relu(number)], [number])
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    return bool(compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16)


def measured(detector: Detector, data: DataConfig, *, how: str) -> Measured:
    """The detector on the validation split."""
    dataset = open_split(data, "val")
    evaluate.check_classes(dataset.classes, detector.description.classes, source=str(data.root))
    metric = evaluate.metric_for(detector.assembly.task, dataset, data)
    numbers: dict[str, Any] = evaluate.evaluate(detector, dataset, metric, Single(), on_bad_image=data.on_bad_image, is_shown=False)
    per_class = {name: float(row["AP"]) for name, row in numbers["per_class"].items()}
    return Measured(how, float(numbers["AP"]), per_class, metric.detections_json())


def data_of(checkpoint: Path, data_dir: Path) -> DataConfig:
    """The data set that a checkpoint was trained on, in a folder."""
    described = model_files.own_description(checkpoint)
    if described is None:
        sys.exit(f"{checkpoint}: says nothing about its data set; give a checkpoint that `centernet train` wrote")
    chosen = choice.Choice(keys={"data.root": str(data_dir)})
    return choice.from_description(chosen, described.experiment, source=str(checkpoint)).data


def measure(checkpoint: Path, data_dir: Path, folder: Path) -> dict[str, Measured]:
    """{precision: what came out}, float32 first; the other two where this machine has them."""
    data = data_of(checkpoint, data_dir)
    exact = opened(checkpoint, "float32")
    found = {"float32": measured(exact, data, how=exact.session.summary)}
    try:
        rounded, how = opened_in_bfloat16(checkpoint)
        found["bfloat16"] = measured(rounded, data, how=how)
    except DeviceError as error:
        print(f"skipped: {error}")
    try:
        quantization.check_installed()
    except DeviceError as error:
        print(f"skipped: {error}")
    else:
        eight = opened(in_eight_bits(checkpoint, data_dir, folder), "float32")  # what is not in eight bits
        found["int8"] = measured(eight, data, how=eight.session.summary)
    for name in found.keys() - {"float32"}:
        assert found[name].detections != found["float32"].detections, f"nothing was computed in {name}"
    print(f"\nAP of {evaluate.protocol_of(data)} on {len(open_split(data, 'val'))} images")
    return found


def points_lost(found: Mapping[str, Measured], name: str) -> float:
    """Hundredths of AP, beside float32."""
    return 100 * (found["float32"].ap - found[name].ap)


def table(found: Mapping[str, Measured]) -> str:
    """A line for each precision."""
    classes = list(found["float32"].per_class)
    lines = [f"{'':<9}  {'AP':>6}  points  " + "  ".join(f"{name:>9}" for name in classes)]
    for name, row in found.items():
        change = f"{round(-points_lost(found, name), 2) + 0.0:+6.2f}" if name != "float32" else f"{'':<6}"
        lines.append(f"{name:<9}  {row.ap:.4f}  {change}  " + "  ".join(f"{row.per_class[c]:9.4f}" for c in classes) + f"  {row.how}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, default=DATA, help="the data set (default: ../shared/data/bccd beside the checkout)")
    parser.add_argument("--checkpoint", type=Path, help="what `centernet train` wrote (default: train now)")
    parser.add_argument("--output", type=Path, help="folder for the training and the exported file (default: a temporary one)")
    arguments = parser.parse_args()
    data_dir: Path = arguments.data_dir
    if not data_dir.is_dir():
        print(f"skipped: no data set in {data_dir}; name its folder with --data_dir")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(arguments.checkpoint or trained(data_dir, folder), data_dir, folder)
    print(table(found))
    lost = {name: points_lost(found, name) for name in MOST_LOST if name in found}
    return finish(*(Claim(f"precision_{name}_loss", lost[name], MOST_LOST[name], "points", at_least=False) for name in lost))


if __name__ == "__main__":
    sys.exit(main())
