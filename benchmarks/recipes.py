"""AP of the published targets and losses beside others, each trained equally long: the table and curve of docs/recipes.md.

    python benchmarks/recipes.py [--data bccd|shapes] [--epochs N] [--seeds N] [--recipes 'A;B'] [--keep DIR] [--write]

bccd: blood cells, 205 images to train and 87 to validate, quarter-width ResNet-18 at 192x192. shapes: rendered, 800 and 200 images,
quarter-width DLAv0-34 at 64x64. One core a training. AP is COCO's, that of the last epoch: mean and half the range over the
seeds; a recipe is better or worse where all its seeds are. What helps here need not help on COCO: a table to choose what to try by.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from centernet.data.voc_xml import ImageSet, read_voc, with_classes
from recipes_report import BASELINE, METRICS, Runs, table, write
from report import ROOT, environment, print_load

BCCD_CLASSES = ("Platelets", "RBC", "WBC")
BCCD = ROOT.parent / "shared" / "data" / "bccd"
REST = """\
  head: {{name: conv, hidden_channels: 32}}
  pretrained_model_dir: null
train:
  epochs: 10
  global_batch_size: {batch}
  schedule: {{kind: cosine, base_lr: {rate}, warmup_epochs: 1}}
  validate_losses: false
  save_every: 1000
"""
EXPERIMENTS = {
    "bccd": """\
task: {name: ctdet}
data:
  dataset:
    name: coco
    train: {images: images, annotations: train.json}
    val: {images: images, annotations: val.json}
  input_size: [192, 192]
  augment: {random_crop: false, color: false}
  workers: 0
  cache: ram
model:
  backbone: {name: resnet, num_layers: 18, width: 0.25}
  neck: {name: deconv, width: 0.25}
"""
    + REST.format(batch=4, rate="2e-3"),
    "shapes": """\
task: {name: ctdet}
data:
  dataset: {name: shapes, num_train: 800, num_val: 200}
  input_size: [64, 64]
  augment: {random_crop: false, color: false}
  workers: 0
model:
  backbone: {name: dlav0, width: 0.25}
  neck: {name: dlav0_up}
"""
    + REST.format(batch=8, rate="3e-3"),
}
EPOCHS = {"bccd": 10, "shapes": 5}
GIOU = {"task.boxes.at": "3x3", "task.loss.boxes": "giou", "task.size_weight": 2.0}
LTRB = {
    "task.radius": "ttf",
    "task.boxes.form": "ltrb",
    "task.boxes.at": "gaussian",
    "task.loss.boxes": "giou",
    "task.size_weight": 5.0,
}
# What is measured unless --recipes says otherwise: the baseline, and what the files in recipes/ change.
RECIPES: Mapping[str, Mapping[str, object]] = {
    BASELINE: {},
    "giou": GIOU,
    "ttf_giou": {"task.radius": "ttf", **GIOU},
    "ltrb": LTRB,
    "ema": {"train.moving_average.decay": 0.999},
}
PARTS: Mapping[str, Mapping[str, object]] = {  # further ones, to see what does it
    "size_weight 0.3": {"task.size_weight": 0.3},
    "ttf": {"task.radius": "ttf", "task.size_weight": 0.3},
    "3x3": {"task.boxes.at": "3x3", "task.size_weight": 0.3},
    "giou at the centre": {"task.loss.boxes": "giou", "task.size_weight": 2.0},
    "quality focal": {"task.loss.heatmap": "quality_focal", "task.size_weight": 0.3},
    **{name: {f"data.augment.{name}": {}} for name in ("mosaic", "mixup", "erasing")},
}
KNOWN = {**RECIPES, **PARTS}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One training: all that its numbers depend on."""

    data: str
    recipe: str
    seed: int
    epochs: int
    every: int

    @property
    def file(self) -> str:
        """Where its numbers are kept."""
        return f"{self.data}-{self.recipe.replace(' ', '_')}-{self.epochs}-{self.seed}.json"

    @property
    def keys(self) -> dict[str, object]:
        """What is set of the experiment, by dotted key."""
        lengths = {"train.epochs": self.epochs, "train.seed": self.seed, "train.validate_every": self.every}
        return {**KNOWN[self.recipe], **lengths}


def prepare(data: str, source: Path, folder: Path) -> Path:
    """The data folder of the experiments: shapes are drawn into it by the first training; bccd's XML becomes COCO's JSON, whose
    protocol measures AP at ten overlaps and not at one.
    """
    root = folder / data
    root.mkdir(parents=True)
    if data == "shapes":
        return root
    (root / "images").symlink_to(source.resolve())
    for split in ("train", "val"):
        table = with_classes(read_voc(source, [ImageSet(".", split)]), BCCD_CLASSES)
        sides = table.boxes[:, 2:] - table.boxes[:, :2]
        objects = zip(table.image_ids[table.image_index], table.category_of, table.boxes[:, :2], sides, strict=True)
        tree = {
            "images": [
                {"id": int(number), "file_name": name, "height": int(height), "width": int(width)}
                for number, name, (height, width) in zip(table.image_ids, table.file_names, table.image_sizes, strict=True)
            ],
            "annotations": [
                {
                    "id": i,
                    "image_id": int(image),
                    "category_id": int(category) + 1,
                    "iscrowd": 0,
                    "bbox": [*corner, *side],
                    "area": side.prod(),
                }
                for i, (image, category, corner, side) in enumerate(objects, start=1)
            ],
            "categories": [{"id": i, "name": name} for i, name in enumerate(BCCD_CLASSES, start=1)],
        }
        (root / f"{split}.json").write_text(json.dumps(tree))
    return root


def train(plan: Plan, *, data_dir: Path, keep: Path) -> dict[str, Any]:
    """The numbers of a training from its initial values, or those kept of the same; ends the program where it fails.

    Returns:
        experiment and keys: what was trained; epochs: after how many AP was measured; AP50, AP: in [0, 1], one for each; seconds.
    """
    kept, what = keep / plan.file, {"experiment": EXPERIMENTS[plan.data], "keys": plan.keys}
    if kept.is_file():
        numbers: dict[str, Any] = json.loads(kept.read_text())
        if {key: numbers[key] for key in what} == what:
            return numbers
    with tempfile.TemporaryDirectory() as folder:
        experiment = Path(folder) / "experiment.yaml"
        experiment.write_text(EXPERIMENTS[plan.data])
        sets = [word for key, value in plan.keys.items() for word in ("--set", f"{key}={value}")]
        command = [sys.executable, "-m", "centernet", "train", "--train-config", experiment, "--data_dir", data_dir, "-o", folder, *sets]
        start = time.perf_counter()
        ended = subprocess.run(list(map(str, command)), env=environment() | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
        if ended.returncode:
            raise SystemExit(f"{plan}: exit code {ended.returncode}\n{ended.stderr}")
        with (Path(folder) / "metrics.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["kind"] == "validation"]
        curve = {metric: [float(row[metric]) for row in rows] for metric in METRICS}
        numbers = {**what, "epochs": [int(row["epoch"]) + 1 for row in rows], **curve, "seconds": round(time.perf_counter() - start)}
    keep.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    part.write_text(json.dumps(numbers, indent=1) + "\n")
    part.replace(kept)
    print(f"{plan.recipe}, seed {plan.seed}: AP50 {100 * numbers['AP50'][-1]:.1f}, {numbers['seconds']} s", file=sys.stderr, flush=True)
    return numbers


def arguments() -> argparse.Namespace:
    """What was typed, with the recipes' names checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=list(EXPERIMENTS), default="bccd")
    parser.add_argument("--data_dir", type=Path, default=BCCD, help="of bccd (default: ../shared/data/bccd beside the checkout)")
    parser.add_argument("--epochs", type=int, help="default: " + ", ".join(f"{epochs} of {data}" for data, epochs in EPOCHS.items()))
    parser.add_argument("--every", type=int, default=3, help="epochs from one measurement of AP to the next")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="trainings at a time, one core each (default: cores)"
    )
    parser.add_argument("--recipes", type=lambda text: text.split(";"), default=list(RECIPES), help=f"of {'; '.join(KNOWN)}")
    parser.add_argument("--keep", type=Path, help="folder for each training's numbers: what is there is not trained again")
    parser.add_argument("--write", action="store_true", help="numbers and curves into docs/images, docs/recipes.md and recipes/*.yaml")
    found = parser.parse_args()
    unknown = [name for name in found.recipes if name not in KNOWN]
    if unknown:
        parser.error(f"--recipes: '{unknown[0]}' is unknown; known: {'; '.join(KNOWN)}")
    return found


def main() -> int:
    typed = arguments()
    names = list(dict.fromkeys([BASELINE, *typed.recipes]))
    epochs = typed.epochs or EPOCHS[typed.data]
    plans = [
        Plan(data=typed.data, recipe=name, seed=seed, epochs=epochs, every=typed.every)
        for seed in range(1, typed.seeds + 1)
        for name in names
    ]
    with tempfile.TemporaryDirectory() as folder:
        if typed.data == "bccd" and not typed.data_dir.is_dir():
            print(f"skipped: no data set in {typed.data_dir}; name its folder with --data_dir")
            return 0
        data_dir, keep = prepare(typed.data, typed.data_dir, Path(folder)), typed.keep or Path(folder)
        title = f"{typed.data}, {epochs} epochs, {typed.seeds} seed{'s' if typed.seeds > 1 else ''}"
        print(title)
        print_load()
        with ThreadPoolExecutor(typed.jobs) as pool:
            numbers = list(pool.map(lambda plan: train(plan, data_dir=data_dir, keep=keep), plans))
    measured: dict[str, Runs] = {name: [one for plan, one in zip(plans, numbers, strict=True) if plan.recipe == name] for name in names}
    print("\n".join(table(measured)))
    if typed.write:
        write(ROOT, typed.data, title, measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
