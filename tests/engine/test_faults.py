"""What becomes of several real processes when something happens to one of them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.engine import checkpoint

Run = Callable[..., Any]

RANK_1 = "rank 1 of 2 on "
FAULTS = [
    pytest.param("kill", 128 + signal.SIGKILL, "is gone without a word: killed by a signal", id="killed"),
    pytest.param(
        "memory", 3, "is out of memory (Unable to allocate 8.00 TiB); lower train.batch_size", id="out of memory", marks=pytest.mark.slow
    ),
    pytest.param("hang", 3, "hangs: no progress for", id="hung", marks=pytest.mark.slow),
    pytest.param("stop", 3, "has been silent for", id="stopped", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return {"folder": tmp_path_factory.mktemp("whole")}


def at_the_end(folder: Path) -> dict[str, Any]:
    with np.load(folder / "end.npz") as file:
        return dict(file)


@pytest.mark.parametrize(("how", "code", "said"), FAULTS)
def test_a_fault_of_one_rank_ends_all_and_another_number_of_processes_goes_on_from_the_checkpoint(
    mpirun: Run, whole: dict[str, Any], tmp_path: Path, how: str, code: int, said: str
) -> None:
    if "end" not in whole:
        assert mpirun(1, "faults.py", whole["folder"], "none", 0).returncode == 0
        whole["end"] = at_the_end(whole["folder"])
    ended = mpirun(2, "faults.py", tmp_path, how, 1)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    assert f"error: {RANK_1}" in ended.stderr
    assert ended.stderr.count("error: ") == 1
    assert ended.stderr.index("error: ") < ended.stderr.find("prterun ") or how != "kill"
    progress = checkpoint.load(tmp_path).progress
    assert progress.epoch == 1
    assert progress.batch in (1, 2)  # the second one may have been under way

    assert mpirun(1, "faults.py", tmp_path, "none", 0).returncode == 0
    assert (tmp_path / "served").read_text() == f"e1b{progress.batch}i0.jpg"
    found = at_the_end(tmp_path)
    for name, values in whole["end"].items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_rank_that_hangs_is_named_with_what_it_does_and_where(mpirun: Run, tmp_path: Path) -> None:
    ended = mpirun(2, "faults.py", tmp_path, "hang", 0)
    assert ended.returncode == 3
    assert "error: rank 0 of 2 on " in ended.stderr
    assert "while waiting for data (faults.py:" in ended.stderr
    assert " happen, called by faults.py:" in ended.stderr


@pytest.mark.parametrize(
    ("what", "guilty", "said"),
    [
        pytest.param("first", 1, "hangs: all others wait while it computes, for ", marks=pytest.mark.slow),
        pytest.param("first", 0, "hangs: all others wait while it computes, for ", marks=pytest.mark.slow),
        pytest.param("measuring", 1, "hangs: all others wait while it computes, for ", marks=pytest.mark.slow),
        pytest.param("asleep", 1, "hangs: no progress for ", marks=pytest.mark.slow),
    ],
)
def test_a_rank_that_hangs_is_named_in_its_first_step_and_in_a_measurement_also_if_it_computes(
    mpirun: Run, what: str, guilty: int, said: str
) -> None:
    ended = mpirun(2, "hang.py", what, guilty)
    assert ended.returncode == 3, ended.stderr
    assert f"error: rank {guilty} of 2 on " in ended.stderr
    assert said in ended.stderr
    assert "training (hang.py:" in ended.stderr if what == "first" else "measuring held-out images (hang.py:" in ended.stderr


@pytest.mark.slow
def test_rank_0_stopped_is_noticed_by_the_others(mpirun: Run, tmp_path: Path) -> None:
    ended = mpirun(2, "faults.py", tmp_path, "stop", 0)
    assert ended.returncode == 3
    assert "error: rank 0 of 2 on " in ended.stderr
    assert "rank 1 has ended all" in ended.stderr


@pytest.mark.parametrize("guilty", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_sigterm_to_one_rank_writes_one_checkpoint_and_all_end_with_its_code(mpirun: Run, tmp_path: Path, guilty: int) -> None:
    ended = mpirun(2, "faults.py", tmp_path, "term", guilty)
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    written = sorted(path.name for path in tmp_path.glob("*interrupted*"))
    assert written == ["checkpoint_interrupted.json", "params_interrupted.h5", "states_interrupted.h5"]
    assert [path.name for path in tmp_path.glob("checkpoint_*") if path.name not in written] == ["checkpoint_0.json"]  # of epoch 0's end
    progress = json.loads((tmp_path / "checkpoint_interrupted.json").read_text())["centernet"]["progress"]
    assert (progress["epoch"], progress["batch"], progress["iteration"]) == (1, 3, 7)


@pytest.mark.parametrize(
    ("processes", "guilty", "endless"),
    [
        (2, 1, "metrics"),
        pytest.param(2, 0, "metrics", marks=pytest.mark.slow),
        pytest.param(2, 1, "losses", marks=pytest.mark.slow),
        (1, 0, "metrics"),
    ],
)
def test_a_signal_ends_a_measurement_with_one_checkpoint_from_which_it_is_made_again(
    mpirun: Run, tmp_path: Path, processes: int, guilty: int, endless: str
) -> None:
    ended = mpirun(processes, "stop_measuring.py", tmp_path, guilty, endless)
    assert ended.returncode == 0, ended.stderr
    assert "equal" in ended.stdout


@pytest.mark.parametrize(
    ("how", "said"),
    [
        pytest.param("exit", "rank 1 ended before joining", id="ended"),
        pytest.param("late", "rank 1 (process ", id="late", marks=pytest.mark.slow),
    ],
)
def test_a_rank_that_never_joins_ends_all_and_is_named(mpirun: Run, tmp_path: Path, how: str, said: str) -> None:
    ended = mpirun(2, "join.py", how, tmp_path)
    assert ended.returncode == 128 + signal.SIGKILL
    assert "error: rank 0 of 2 waited " in ended.stderr
    assert said in ended.stderr


@pytest.mark.slow
def test_processes_that_are_all_stopped_for_a_while_go_on(start_mpirun: Callable[..., Any], tmp_path: Path) -> None:
    """As by Ctrl-Z, for longer than a process may be silent."""
    with start_mpirun(2, "pause.py", tmp_path) as process:
        try:
            while not all((tmp_path / name).exists() for name in "01") and process.poll() is None:
                time.sleep(0.05)
            numbers = [int((tmp_path / name).read_text()) for name in "01"]
            for number in numbers:
                os.kill(number, signal.SIGSTOP)
            time.sleep(16)
            for number in numbers:
                os.kill(number, signal.SIGCONT)
                (tmp_path / "01"[numbers.index(number)]).unlink()
            while not all((tmp_path / name).exists() for name in "01") and process.poll() is None:
                time.sleep(0.05)
            os.kill(numbers[1], signal.SIGTERM)
            _, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + signal.SIGTERM, stderr
