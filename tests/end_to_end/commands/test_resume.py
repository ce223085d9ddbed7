"""A training that was stopped goes on as if it never had been: the same numbers in every file."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

Command = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]
MAIN_THAT_WAITS = f"""
import os, runpy, signal
from centernet.engine.step import TrainStep
reading, writing = os.pipe()
os.set_blocking(writing, False)
signal.set_wakeup_fd(writing)  # every signal leaves a byte there
run, steps = TrainStep.run, iter(range(100))
def run_or_wait(self, *arguments):
    if next(steps) == 5:
        os.read(reading, 1)  # the signal comes in this epoch, however slow its sender is
    return run(self, *arguments)
TrainStep.run = run_or_wait
runpy.run_path({str(ROOT / "src" / "main.py")!r}, run_name="__main__")
"""
TIMES = ("seconds", "images_per_second", "waiting")  # columns of metrics.csv that no two runs share


def arrays(path: Path) -> dict[str, Any]:
    """Every data set of an HDF5 file."""
    found: dict[str, Any] = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, node: found.update({name: node[...]}) if isinstance(node, h5py.Dataset) else None)
    return found


def table(output: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without times and empty cells."""
    with (output / "metrics.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if value and key not in TIMES} for row in csv.DictReader(file)]


def assert_equal_trainings(found: Path, expected: Path, *, last: int) -> None:
    """Parameters, solver states, metrics.csv and all series, number for number."""
    for kind in ("params", "states"):
        ours, theirs = (arrays(output / "checkpoints" / f"{kind}_{last}.h5") for output in (found, expected))
        assert ours.keys() == theirs.keys()
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=f"{kind} {name}")
    assert table(found) == table(expected)
    series = sorted(path.name for path in (expected / "tmp.monitor").glob("*.series.txt"))
    assert len(series) == 9
    for name in series:
        assert (found / "tmp.monitor" / name).read_text() == (expected / "tmp.monitor" / name).read_text()
    timer = (found / "tmp.monitor" / "time.timer.txt").read_text().splitlines()
    assert [line.split()[0] for line in timer] == [str(epoch) for epoch in range(last + 1)]


@pytest.mark.parametrize("word", ["0", "latest"])
def test_resuming_gives_the_numbers_of_an_uninterrupted_training(tiny: Any, centernet: Command, tmp_path: Path, word: str) -> None:
    output = tmp_path / "out"
    shutil.copytree(tiny.output, output)
    if word == "latest":  # as if the second epoch had never been
        for path in (output / "checkpoints").glob("*_1.*"):
            path.unlink()
    centernet("train", "--train-config", tiny.config, "--data_dir", tiny.data, "-o", output, "--resume-from", word)
    assert_equal_trainings(output, tiny.output, last=1)


@pytest.fixture(scope="module")
def long_config(make_config: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs of 24 steps, so that a signal meets the middle of one."""
    path = make_config(tmp_path_factory.mktemp("long") / "long.yaml", global_batch_size=2, log_every=1, validate_every=2)
    experiment = json.loads(path.read_text())
    experiment["data"]["dataset"]["num_train"] = 48
    path.write_text(json.dumps(experiment))
    return path


@pytest.fixture(scope="module")
def uninterrupted(long_config: Path, tmp_path_factory: pytest.TempPathFactory, run_quietly: Callable[..., int]) -> Path:
    """The output of that training, done in one go; the data is beside it."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert run_quietly("train", "--train-config", long_config, "--data_dir", folder / "shapes", "-o", folder / "out") == 0
    return folder


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_training_stopped_inside_an_epoch_by_a_signal_goes_on_from_there(
    centernet: Command,
    start: Callable[..., subprocess.Popen[str]],
    long_config: Path,
    uninterrupted: Path,
    tmp_path: Path,
    number: signal.Signals,
    exit_code: int,
) -> None:
    output = tmp_path / "out"
    words = ("--train-config", long_config, "--data_dir", uninterrupted / "shapes", "-o", output)
    program = tmp_path / "main.py"
    program.write_text(MAIN_THAT_WAITS)
    with start(program, "ctdet", *words) as process:
        wait_for(lambda: (output / "metrics.csv").exists() and "\nstep,0,3," in (output / "metrics.csv").read_text(), process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=240)
    assert process.returncode == exit_code, errors
    assert f"stopped by {number.name}; checkpoint written" in errors
    assert "Traceback" not in errors

    record = json.loads((output / "checkpoints" / "checkpoint_interrupted.json").read_text())
    progress = record["centernet"]["progress"]
    assert progress["epoch"] == 0
    assert 3 <= progress["batch"] < 24
    before = table(output)
    assert [row["kind"] for row in before] == ["step"] * progress["batch"]

    centernet("train", *words, "--resume-from", "latest")
    assert table(output)[: len(before)] == before
    assert_equal_trainings(output, uninterrupted / "out", last=1)
    assert not list((output / "checkpoints").glob("*interrupted*"))


def test_an_interrupted_epoch_goes_on_only_with_its_own_global_batch(
    tiny: Any, centernet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    words = ("--train-config", tiny.config, "--data_dir", tiny.data, "-o", output)
    stop_after_one_step(monkeypatch)
    centernet("train", *words, code=143)
    ended = centernet("train", *words, "--resume-from", "latest", "--set", "train.global_batch_size=6", code=2)
    assert ended.err.startswith("error: ")
    assert "stopped inside an epoch of global batches of 4" in ended.err
    assert "found 6" in ended.err


def test_resuming_needs_the_folder_and_a_checkpoint_in_it(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    words = ("--train-config", tiny.config, "--data_dir", tiny.data)
    assert "-o" in centernet("train", *words, "--resume-from", "latest", code=2).err
    assert "no checkpoint" in centernet("train", *words, "-o", tmp_path / "new", "--resume-from", "latest", code=2).err
    ended = centernet("train", *words, "-o", tiny.output, "--resume-from", "7", code=2)
    assert "no checkpoint of epoch 7" in ended.err
    assert "there are: 0, 1" in ended.err


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], *, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def stop_after_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training gets a SIGTERM during its first step."""
    from centernet.engine.step import TrainStep

    run = TrainStep.run

    def run_and_stop(self: TrainStep, *arguments: Any) -> Any:
        monkeypatch.setattr(TrainStep, "run", run)
        signal.raise_signal(signal.SIGTERM)
        return run(self, *arguments)

    monkeypatch.setattr(TrainStep, "run", run_and_stop)
