"""Training that begins with a model of other classes, or trains a part of the network only, as it is typed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.weights.store import read_parameters

Command = Callable[..., Any]
LAST = ["hm_final/conv/W", "hm_final/conv/b"]


@pytest.fixture
def one_class(tiny: Any, tmp_path: Path) -> Path:
    """The tiny experiment, whose objects are of one class now."""
    tree = json.loads((tiny.data / "annotations" / "train.json").read_text())
    tree["categories"] = [{"id": 1, "name": "thing"}]
    for annotation in tree["annotations"]:
        annotation["category_id"] = 1
    (tmp_path / "things.json").write_text(json.dumps(tree))
    experiment = json.loads(tiny.config.read_text())
    split = {"images": str(tiny.data / "train"), "annotations": str(tmp_path / "things.json")}
    experiment["data"]["dataset"] = {"name": "coco", "train": split, "val": split}
    experiment["train"] |= {"epochs": 1, "validate_ap": False}
    path = tmp_path / "things.yaml"
    path.write_text(json.dumps(experiment))
    return path


def parameters(output: Path, epoch: int) -> dict[str, Any]:
    return read_parameters(output / "checkpoints" / f"params_{epoch}.h5").parameters


def total_losses(output: Path) -> list[float]:
    with (output / "metrics.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["kind"] == "step"]


def test_a_model_of_other_classes_is_gone_on_with_and_frozen_parts_stay(
    tiny: Any, centernet: Command, one_class: Path, tmp_path: Path
) -> None:
    checkpoint = tiny.checkpoints / "params_1.h5"
    words = ("--train-config", one_class, "--data_dir", tiny.data, "-o", tmp_path / "out", "--checkpoint", checkpoint)
    groups = "train.solver.groups=[{pattern: 'upsample*', lr_factor: 0.1}]"
    ended = centernet("train", *words, "--set", "train.freeze=['conv1/*', 'res*']", "--set", groups)
    assert f"{checkpoint}: 125 parameters loaded\n  hm_final/conv/W: begins anew" in ended.out
    assert "for another number of classes; 1x8x1x1 instead of " in ended.out
    assert "frozen: 60 parameters (0.18 million values)" in ended.out
    assert "upsample*: 9 parameters with 0.1 times the learning rate" in ended.out
    before, after = parameters(tiny.output, 1), parameters(tmp_path / "out", 0)
    for name, values in after.items():
        if name in LAST:
            assert values.shape[0] == 1
        else:
            assert (values == before[name]).all() == name.startswith(("conv1/", "res")), name


@pytest.mark.slow
def test_going_on_with_a_training_in_parts_gives_the_same_numbers(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    words = [
        "--train-config",
        tiny.config,
        "--data_dir",
        tiny.data,
        "--set",
        "train.freeze=['conv1/*']",
        "--set",
        "train.validate_ap=false",
    ]
    words += ["--set", "train.solver.groups=[{pattern: 'res*', lr_factor: 0.25}]"]
    centernet("train", *words, "-o", tmp_path / "whole")
    centernet("train", *words, "-o", tmp_path / "parts")
    for path in (tmp_path / "parts" / "checkpoints").glob("*_1.*"):
        path.unlink()
    ended = centernet("train", *words, "-o", tmp_path / "parts", "--resume-from", "latest")
    assert "frozen: 3 parameters" in ended.out
    expected = parameters(tmp_path / "whole", 1)
    for name, values in parameters(tmp_path / "parts", 1).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("train.freeze=['res9/*']", "train.freeze.0: 'res9/*' matches no parameter of the network; near it: res"),
        ("train.freeze=['*']", "train.freeze: * match every parameter; nothing is left to train"),
        ("train.freeze=res1/*", "train.freeze"),
        ("train.solver.groups=[{pattern: 'hm'}]", "train.solver.groups.0.pattern: 'hm' matches no parameter of the network"),
        ("train.solver.groups=[{pattern: 'hm*', lr_factor: -1}]", "train.solver.groups.0.lr_factor"),
        ("train.solver.groups=[{lr_factor: 1}]", "train.solver.groups.0.pattern"),
        ("train.solver.groups=[{pattern: '*', factor: 1}]", "train.solver.groups.0.factor: unknown key"),
    ],
)
def test_a_wrong_pattern_or_group_is_one_line_and_leaves_no_folder(
    tiny: Any, centernet: Command, tmp_path: Path, setting: str, said: str
) -> None:
    ended = centernet("train", "--train-config", tiny.config, "--data_dir", tiny.data, "-o", tmp_path / "out", "--set", setting, code=2)
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_both_stacks_of_an_hourglass_learn_shapes(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    experiment = json.loads(tiny.config.read_text())
    experiment["data"] |= {"input_size": [128, 128], "augment": None}
    experiment["model"] |= {"backbone": {"name": "hourglass", "num_layers": 104, "width": 0.0625}, "neck": {"name": "identity"}}
    experiment["train"] |= {
        "epochs": 4,
        "validate_ap": False,
        "validate_every": 4,
        "save_every": 4,
        "schedule": {"base_lr": 3e-3, "warmup_epochs": 1},
    }
    (tmp_path / "hourglass.yaml").write_text(json.dumps(experiment))
    words = ("--train-config", tmp_path / "hourglass.yaml", "--data_dir", tiny.data)
    centernet("train", *words, "-o", tmp_path / "out")
    losses = total_losses(tmp_path / "out")
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    first, trained = parameters(tmp_path / "out", 0), parameters(tmp_path / "out", 3)
    for stack in (0, 1):
        for name in (f"hm/{stack}/final/conv/W", f"wh/{stack}/conv1/conv/W", f"kps/{stack}/low1/0/conv1/conv/W"):
            assert (trained[name] != first[name]).any(), name
