"""Several processes under a real mpirun give what one gives; where one fails, all end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.weights.store import read_parameters

Command = Callable[..., Any]


def test_two_processes_of_batch_2_train_like_one_of_batch_4(
    tiny: Any, centernet: Command, script: Command, make_config: Callable[..., Path], tmp_path: Path
) -> None:
    """Three steps with batch norm's running statistics: the same parameters, up to the order of float32 sums.

    SGD, because Adam divides noise by noise where a gradient is nearly zero.
    """
    config = make_config(
        tmp_path / "frozen.yaml", epochs=1, freeze_batch_norm=True, solver={"name": "sgd"}, schedule={"base_lr": 1e-3, "warmup_epochs": 0}
    )
    words = ("ctdet", "--train-config", config, "--data_dir", tiny.data, "--set", "train.validate_losses=true")
    centernet("train", *words, "-o", tmp_path / "one")
    ended = script("main.py", *words, "-o", tmp_path / "two", processes=2)
    assert ended.out.count("2 process(es), global batch 4") == 1, "only rank 0 speaks"

    drawn = read_parameters(tiny.checkpoints / "params_0.h5").parameters
    one, two = (read_parameters(tmp_path / name / "checkpoints" / "params_0.h5").parameters for name in ("one", "two"))
    assert list(one) == list(two) == list(drawn)
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-6, err_msg=name)
    for series in ("Training-Loss", "Validation-Loss"):
        losses = [read_series(tmp_path / name / "tmp.monitor" / f"{series}.series.txt") for name in ("one", "two")]
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4, err_msg=series)


def test_what_makes_a_step_is_said_at_the_start(tiny: Any, centernet: Command, make_config: Callable[..., Path], tmp_path: Path) -> None:
    schedule = {"base_lr": 1e-3, "scale_lr_from": 8, "warmup_epochs": 0}
    config = make_config(tmp_path / "parts.yaml", epochs=1, accumulate=2, schedule=schedule, validate_losses=False, validate_ap=False)
    ended = centernet("train", "--train-config", config, "--data_dir", tiny.data, "-o", tmp_path / "out")
    said = "1 process(es), global batch 4 in 2 parts each, rate 0.0005 (0.001 for 8 images, scaled linearly)"
    assert said in ended.out


@pytest.mark.slow
def test_with_synchronised_batch_norm_two_processes_of_batch_2_train_like_one_of_batch_4(
    tiny: Any, centernet: Command, script: Command, make_config: Callable[..., Path], tmp_path: Path
) -> None:
    """Ranks are compared after every step, so that their running statistics are equal, too."""
    settings = {"solver": {"name": "sgd"}, "schedule": {"base_lr": 1e-3, "warmup_epochs": 0}, "distributed": {"check_every": 1}}
    config = make_config(tmp_path / "sync.yaml", epochs=1, sync_batch_norm=True, validate_losses=False, validate_ap=False, **settings)
    words = ("ctdet", "--train-config", config, "--data_dir", tiny.data)
    centernet("train", *words, "-o", tmp_path / "one")
    script("main.py", *words, "-o", tmp_path / "two", processes=2)
    one, two = (read_parameters(tmp_path / name / "checkpoints" / "params_0.h5").parameters for name in ("one", "two"))
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=2e-3, atol=1e-4, err_msg=name)


def test_a_batch_size_per_process_makes_the_global_batch(
    tiny: Any, script: Command, make_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = make_config(tmp_path / "each.yaml", epochs=1, global_batch_size=None, batch_size=2, validate_losses=False, validate_ap=False)
    words = ("ctdet", "--train-config", config, "--data_dir", tiny.data, "-o", tmp_path / "out")
    ended = script("main.py", *words, "--processes", 2)  # which starts the real mpirun itself
    assert "2 process(es), global batch 4" in ended.out
    record = json.loads((tmp_path / "out" / "checkpoints" / "checkpoint_0.json").read_text())
    assert record[""]["num_update"] == 3


def test_one_failing_rank_ends_all_with_its_message(tiny: Any, script: Command, tmp_path: Path) -> None:
    """One of twelve images is damaged, so one of two ranks meets it."""
    data = damaged_copy(tiny.data, tmp_path / "shapes")
    ended = script(
        "main.py", "ctdet", "--train-config", tiny.config, "--data_dir", data, "-o", tmp_path / "out",
        "--set", "train.epochs=1", "--set", "data.prefetch=1", "--set", "data.workers=0",
        processes=2, code=2,
    )  # fmt: skip
    assert "error: " in ended.err
    assert "000003.jpg" in ended.err
    assert "of 2)" in ended.err
    assert "Traceback" not in ended.err


def test_an_evaluation_gives_the_same_numbers_in_one_process_and_in_two(
    tiny: Any, own_truth: tuple[str, ...], centernet: Command, script: Command, tmp_path: Path
) -> None:
    words = ("--checkpoint", tiny.lively, *own_truth)
    centernet("test", *words, "-o", tmp_path / "one")
    script("test.py", "ctdet", *words, "-o", tmp_path / "two", processes=2)
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    assert one["AP"] > 0.3
    assert two == one
    found = [json.loads((tmp_path / name / "detections.json").read_text()) for name in ("one", "two")]
    assert found[0] == found[1]


def read_series(path: Path) -> list[float]:
    return [float(line.split()[1]) for line in path.read_text().splitlines()]


def damaged_copy(source: Path, target: Path) -> Path:
    """The data set with its third training image cut in half."""
    import shutil

    shutil.copytree(source, target)
    image = target / "train" / "000003.jpg"
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    return target
