"""`centernet train` in half precision, with recomputation, on a CPU: what it says and leaves."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from centernet.engine.monitors import read_csv, read_series

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = {
    "data.dataset.num_train": 8,
    "data.dataset.num_val": 2,
    "data.input_size": "[32, 32]",
    "model.backbone.width": 0.125,
    "train.epochs": 2,
    "train.global_batch_size": 4,
    "train.log_every": 1,
    "train.recompute": "true",
    "train.precision.compute": "half",
    "train.precision.loss_scaling": "{scale: 64, dynamic: true, growth_interval: 3}",
}


@pytest.mark.slow
def test_a_training_in_half_precision_tells_its_types_scale_and_memory(centernet: Callable[..., Any], tmp_path: Path) -> None:
    words = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    config = ("--train-config", ROOT / "cfg" / "quickstart.yaml", "--data_dir", tmp_path / "shapes")
    output = tmp_path / "out"
    said = centernet("train", *config, "-o", output, "--extension_module", "cpu", *words).err
    assert "float16: 54 Convolution, " in said
    assert "float32: 48 BatchNormalization, " in said
    assert "peak memory: process " in said
    assert "scale 64" in said
    with (output / "function_types.csv").open() as file:
        rows = {(row["function"], row["output"]): row for row in csv.DictReader(file)}
    assert rows["Convolution", "float16"]["parameters"] == "float32"
    assert ("Convolution", "float32") not in rows
    steps = [row for row in read_csv(output / "metrics.csv") if row["kind"] == "step"]
    assert [(row["loss_scale"], row["skipped"]) for row in steps] == [("64", "0")] * 3 + [("128", "0")]
    assert read_series(output / "tmp.monitor" / "Loss-Scale.series.txt") == ([0, 1], [64.0, 128.0])
