"""Other targets and losses go all the way: trained, measured with mirror images, written to files that detect the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]
RECIPES = {
    "ttfnet": ("--set", "task.radius=ttf", "--set", "task.boxes={form: ltrb, at: gaussian}", "--set", "task.loss.boxes=giou"),
    "official": ("--mse_loss", "--cat_spec_wh", "--norm_wh"),
    "dense": ("--dense_wh", "--reg_loss", "sl1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_and_its_files_detect_what_the_network_does(tiny: Any, centernet: Command, tmp_path: Path, recipe: str) -> None:
    words = ("--set", "train.epochs=1", "--set", "train.validate_every=1", *RECIPES[recipe])
    centernet("train", "ctdet", "--train-config", tiny.config, "--data_dir", tiny.data, "-o", "out", *words)
    model = tmp_path / "out" / "checkpoints" / "params_0.h5"
    centernet("test", "ctdet", "--checkpoint", model, "--data_dir", tiny.data, "--flip_test", "-o", "tested")
    assert json.loads((tmp_path / "tested" / "results.json").read_text())
    for name, decode in (("raw.nnp", ()), ("decoded.nnp", ("--decode",)), ("decoded.onnx", ("--decode",)), ("raw.onnx", ())):
        centernet("export", "--checkpoint", model, "-o", name, *decode)  # which compares all runtimes
        assert (tmp_path / name).is_file()
    centernet("test", "ctdet", "--checkpoint", "raw.onnx", "--data_dir", tiny.data, "--flip_test", "-o", "again")
    centernet("demo", "ctdet", "--checkpoint", model, "--demo", tiny.images[0], "--debug", "2", "-o", "shown")
