"""A real training in two processes, one of which is killed, stopped or asked to end; and how it goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SIGNALS = [
    pytest.param(signal.SIGKILL, 128 + signal.SIGKILL, "process rank 1 with PID", id="killed"),
    pytest.param(signal.SIGSTOP, 3, "error: rank 1 of 2 on ", id="stopped"),
    pytest.param(signal.SIGTERM, 128 + signal.SIGTERM, "stopped by SIGTERM; checkpoint written", id="asked"),
]


@pytest.mark.parametrize(("number", "code", "said"), SIGNALS)
def test_a_signal_to_one_of_two_processes_ends_both_and_one_goes_on(
    tiny: Any,
    start: Callable[..., subprocess.Popen[str]],
    centernet: Callable[..., Any],
    make_config: Callable[..., Path],
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    said: str,
) -> None:
    """Worker processes prepare the images; nothing of them may be left either."""
    schedule = {"base_lr": 1e-3, "warmup_epochs": 0, "epochs": 1000}
    config = make_config(tmp_path / "long.yaml", epochs=1000, schedule=schedule, validate_losses=False, validate_ap=False)
    output, checkpoints = tmp_path / "out", tmp_path / "out" / "checkpoints"
    words = ("--train-config", config, "--data_dir", tiny.data, "-o", output, "--set", "train.distributed.timeout_seconds=10")
    with start("main.py", "ctdet", *words, processes=2) as process:
        try:
            wait_for(checkpoints / "checkpoint_2.json", process)
            os.kill(process_of_rank(1, output), number)
            _, stderr = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == code, stderr
    assert said in stderr
    wait_until(lambda: not processes_of(output), "processes are left")

    written = max(checkpoints.glob("checkpoint_*.json"), key=lambda path: json.loads(path.read_text())["centernet"]["saved"])
    progress = json.loads(written.read_text())["centernet"]["progress"]
    assert (written.stem == "checkpoint_interrupted") == (number == signal.SIGTERM)
    epochs = progress["epoch"] + 2
    ended = centernet("train", *words, "--resume-from", "latest", "--set", f"train.epochs={epochs}")
    assert "training is complete" in ended.err
    record = json.loads((checkpoints / f"checkpoint_{epochs - 1}.json").read_text())
    assert record["centernet"]["progress"]["iteration"] == 3 * epochs, "no step twice, and none left out"


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    wait_until(lambda: path.exists() or process.poll() is not None, f"{path} is not there")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Patiently: the machine may be busy."""
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def processes_of(output: Path) -> dict[int, dict[str, str]]:
    """Process number → environment, of the Python processes that train into a folder, and of their workers."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = dict(line.partition("=")[::2] for line in (folder / "environ").read_text(errors="replace").split("\0"))
            is_ours = str(output) in (folder / "cmdline").read_text(errors="replace") or is_child(folder, output)
        except OSError:
            continue
        if is_ours and "OMPI_COMM_WORLD_RANK" in environment:
            found[int(folder.name)] = environment
    return found


def is_child(folder: Path, output: Path) -> bool:
    """Whether a process was started in the test's folder, as workers are by those that train."""
    return (folder / "cwd").resolve() == output.parent


def process_of_rank(rank: int, output: Path) -> int:
    """The process that trains; its workers have a higher number."""
    return min(number for number, environment in processes_of(output).items() if environment["OMPI_COMM_WORLD_RANK"] == str(rank))
