"""AP of the published targets and losses beside others, each trained equally long.

    python benchmarks/recipes.py [--data shapes|bccd] [--epochs N] [--seeds N] [--recipes A,B] [--data_dir DIR]

shapes: rendered, quarter-width DLAv0-34 at 64x64. bccd: blood cells, 205 images to train and 87 to validate, quarter-width ResNet-18
at 192x192. A recipe changes the section `task` and nothing else; AP is that of the last epoch, COCO's, mean and spread over
the seeds. What helps here need not help on COCO: a table to choose what to try by, no claim.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from report import ROOT, environment, print_load

BCCD = ROOT.parent / "shared" / "data" / "bccd"
REST = """\
  head: {name: conv, hidden_channels: 32}
  pretrained_model_dir: null
train:
  epochs: 10
  global_batch_size: 8
  schedule: {kind: cosine, base_lr: 3e-3, warmup_epochs: 1}
  validate_every: 1000
  save_every: 1000
"""
EXPERIMENTS = {
    "shapes": """\
task: {name: ctdet}
data:
  dataset: {name: shapes, num_train: 800, num_val: 200}
  input_size: [64, 64]
  augment: {random_crop: false, color: false}
model:
  backbone: {name: dlav0, width: 0.25}
  neck: {name: dlav0_up}
"""
    + REST,
    "bccd": """\
task: {name: ctdet}
data:
  dataset:
    name: voc
    train: {folders: [.], image_sets: [train]}
    val: {folders: [.], image_sets: [val]}
  input_size: [192, 192]
  augment: {random_crop: false, color: false}
model:
  backbone: {name: resnet, num_layers: 18, width: 0.25}
  neck: {name: deconv, width: 0.25}
"""
    + REST,
}
# Recipe -> keys of the section `task`.
RECIPES: Mapping[str, Mapping[str, object]] = {
    "published": {},
    "size_weight 0.3": {"size_weight": 0.3},
    "ttf peaks": {"radius": "ttf", "size_weight": 0.3},
    "3x3": {"boxes.at": "3x3", "size_weight": 0.3},
    "giou": {"loss.boxes": "giou", "size_weight": 2.0},
    "ttf, 3x3, giou": {"radius": "ttf", "boxes.at": "3x3", "loss.boxes": "giou", "size_weight": 2.0},
    "ttfnet": {"radius": "ttf", "boxes.form": "ltrb", "boxes.at": "gaussian", "loss.boxes": "giou", "size_weight": 5.0},
    "quality focal": {"loss.heatmap": "quality_focal", "size_weight": 0.3},
}


@dataclass(frozen=True)
class Trained:
    """AP and AP50 in [0, 1], and the seconds the training took."""

    ap: float
    ap50: float
    seconds: float


def train(data: str, recipe: Mapping[str, object], *, epochs: int, seed: int, data_dir: Path) -> Trained:
    """A training from its initial values; ends this program with its exit code where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        experiment = Path(folder) / "experiment.yaml"
        experiment.write_text(EXPERIMENTS[data])
        keys = {f"task.{key}": value for key, value in recipe.items()} | {"train.epochs": epochs, "train.seed": seed}
        sets = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
        command = [sys.executable, "-m", "centernet", "train", "--train-config", experiment, "--data_dir", data_dir, "-o", folder, *sets]
        start = time.perf_counter()
        ended = subprocess.run(list(map(str, command)), env=environment() | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
        if ended.returncode:
            print(ended.stderr, file=sys.stderr)
            sys.exit(ended.returncode)
        numbers = json.loads((Path(folder) / "checkpoints" / "best.json").read_text())["metrics"]
        return Trained(numbers["AP"], numbers["AP50"], time.perf_counter() - start)


def row(name: str, runs: Sequence[Trained]) -> str:
    """A line of the table: mean and half the range over the seeds, in points."""
    cells = []
    for values in ([run.ap50 for run in runs], [run.ap for run in runs]):
        spread = f" +- {50 * np.ptp(values):.1f}" if len(values) > 1 else ""
        cells.append(f"{100 * np.mean(values):5.1f}{spread}")
    return f"{name:<18} AP50 {cells[0]}   AP {cells[1]}   {np.mean([run.seconds for run in runs]):.0f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(EXPERIMENTS), default="shapes")
    parser.add_argument("--data_dir", type=Path, help="default: shapes are rendered; bccd: ../shared/data/bccd beside the checkout")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--recipes", type=lambda text: text.split(";"), default=list(RECIPES), help="names with ; between (default: all)")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.recipes if name not in RECIPES]
    if unknown:
        parser.error(f"--recipes: '{unknown[0]}' is unknown; known: {'; '.join(RECIPES)}")
    with tempfile.TemporaryDirectory() as rendered:
        data_dir = arguments.data_dir or (BCCD if arguments.data == "bccd" else Path(rendered))
        if not data_dir.is_dir():
            print(f"skipped: no data set in {data_dir}; name its folder with --data_dir")
            return 0
        print(f"{arguments.data}, {arguments.epochs} epochs, {arguments.seeds} seeds")
        print_load()
        for name in arguments.recipes:
            runs = [
                train(arguments.data, RECIPES[name], epochs=arguments.epochs, seed=seed, data_dir=data_dir)
                for seed in range(1, arguments.seeds + 1)
            ]
            print(row(name, runs), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
