"""Keypoint triplets by the commands: what training is fed with, and a training of a few steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.engine.monitors import read_csv, read_series
from centernet.imaging.io import read_image

ROOT = Path(__file__).resolve().parents[3]
Command = Callable[..., Any]
NETWORKS: dict[str, dict[str, Any]] = {
    "hourglass": {"backbone": {"name": "hourglass", "num_layers": 52, "width": 0.125}, "neck": {"name": "identity"}},
    "resnet": {"backbone": {"name": "resnet", "num_layers": 18, "width": 0.125}, "neck": {"name": "deconv", "width": 0.125}},
}


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Path]:
    """Write an experiment with keypoint triplets: 12 shapes to train, 2 to validate."""

    def write(network: str, *, side: int) -> Path:
        path = tmp_path / f"{network}.yaml"
        tree = {
            "task": {"name": "triplet", "radius": "cornernet"},
            "data": {"dataset": {"name": "shapes", "num_train": 12, "num_val": 2, "image_size": 64}, "input_size": [side, side]},
            "model": {**NETWORKS[network], "head": {"name": "triplet", "width": 0.125}, "pretrained_model_dir": None},
            "train": {
                "epochs": 1,
                "global_batch_size": 4,
                "schedule": {"base_lr": 1e-3, "warmup_epochs": 0},
                "log_every": 1,
                "pictures": 0,
            },
        }
        path.write_text(json.dumps(tree))
        return path

    return write


def test_every_target_heatmap_has_its_sheet(centernet: Command, make_config: Callable[..., Path], tmp_path: Path) -> None:
    config = make_config("resnet", side=64)
    said = centernet("data", "show", config, "--data_dir", tmp_path / "shapes", "-o", "out", "--samples", 2).out
    files = [Path("out") / f"{name}_1.png" for name in ("samples", "tl_heat", "br_heat", "ct_heat")]
    assert said.splitlines()[1:] == [f"wrote {path}" for path in files]
    sheets = [read_image(path) for path in files]
    assert all((one != other).any() for i, one in enumerate(sheets) for other in sheets[:i])


@pytest.mark.parametrize(("network", "side"), [("resnet", 64), pytest.param("hourglass", 127, marks=pytest.mark.slow)])
def test_a_network_of_keypoint_triplets_is_trained_and_measured_meanwhile(
    centernet: Command, make_config: Callable[..., Path], tmp_path: Path, network: str, side: int
) -> None:
    data, output, config = tmp_path / "shapes", tmp_path / "out", make_config(network, side=side)
    centernet("train", "triplet", "--train-config", config, "--data_dir", data, "-o", output)
    rows = read_csv(output / "metrics.csv")
    steps = [row for row in rows if row["kind"] == "step"]
    assert len(steps) == 3
    assert all(np.isfinite(float(row[name])) for row in steps for name in ("heatmap", "pull", "push", "offset"))
    for name in ("focal_loss", "pull_loss", "push_loss", "reg_loss"):
        epochs, values = read_series(output / "tmp.monitor" / f"{name}.series.txt")
        assert epochs == [0]
        assert np.isfinite(values).all()
    assert float(steps[-1]["heatmap"]) < float(steps[0]["heatmap"])
    assert [row["epoch"] for row in rows if row.get("AP50")] == ["0"]


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_keypoint_triplets_learn_the_shapes(centernet: Command, tmp_path: Path) -> None:
    """The quickstart with its other configuration: trained, measured, drawn and exported."""
    config, output = ROOT / "cfg" / "quickstart_triplet.yaml", tmp_path / "out"
    centernet("quickstart", "--config", config, "--data_dir", tmp_path / "shapes", "-o", output)
    results = json.loads((output / "results.json").read_text())
    assert results["AP50"] >= 0.75
    made = {path.name for path in output.iterdir()}
    assert {"contact_sheet.png", "quickstart.nnp", "quickstart_decoded.nnp", "quickstart_decoded.onnx"} <= made
