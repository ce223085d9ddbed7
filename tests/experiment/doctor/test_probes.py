"""Probes in processes of their own: whatever becomes of them is an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from centernet.experiment.doctor import probes
from centernet.experiment.doctor.probes import ask


def test_the_last_line_is_the_answer() -> None:
    answer = ask(["-c", "print('hello'); print('{\"a\": 1}')"])
    assert answer.ok
    assert answer.values == {"a": 1}


def test_the_package_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert ask(["-c", "import centernet.errors; print('{}')"]).ok


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import nonsense_of_no_kind", "ModuleNotFoundError: No module named 'nonsense_of_no_kind'"),
        ("import os; os.kill(os.getpid(), 11)", "crashes with signal 11"),
        ("raise SystemExit(3)", "ends with code 3"),
        ("print('hello')", "ends without an answer"),
        ("import sys; sys.exit('***\\n*** An error occurred in MPI_Init\\n-----\\nexit code 14\\n')", "An error occurred in MPI_Init"),
    ],
)
def test_what_went_wrong_is_the_error(program: str, said: str) -> None:
    assert ask(["-c", program]).error == said


def test_a_probe_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SECONDS", 0.2)
    assert "no sign of life" in ask(["-c", "import signal; signal.pause()"]).error


def test_a_launcher_that_is_not_there_is_said() -> None:
    assert ask(["-c", ""], launcher=["/no/mpirun"]).error == "/no/mpirun cannot be started: No such file or directory"
