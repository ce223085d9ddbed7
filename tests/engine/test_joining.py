from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from centernet.engine import joining

PROGRAM = """
import sys, time
from centernet.engine.joining import joining
with joining("MPI", seconds=float(sys.argv[1]), rank=0, size=2):
    time.sleep(float(sys.argv[2]))
print("joined")
"""


def process(folder: Path, number: int, *, rank: int | str, job: str = "job@1", command: str = "python\0train.py\0") -> None:
    (folder / str(number)).mkdir()
    (folder / str(number) / "environ").write_text(f"A=b\0PMIX_NAMESPACE={job}\0PMIX_RANK={rank}\0")
    (folder / str(number) / "cmdline").write_text(command)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMIX_NAMESPACE", "job@1")
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "2")


GUARD = f"python\0{joining.__file__}\0MPI\0"


@pytest.mark.usefixtures("launched")
def test_who_is_there_but_does_not_wait_is_late(tmp_path: Path) -> None:
    process(tmp_path, 10, rank=0)
    process(tmp_path, 11, rank=0, command=GUARD)
    process(tmp_path, 20, rank=1)
    process(tmp_path, 30, rank=1, job="another@1", command=GUARD)
    (tmp_path / "40").mkdir()  # gone, or somebody else's
    assert "rank 1 (process 20 of " in joining.missing(2, tmp_path)
    assert "has not come so far" in joining.missing(2, tmp_path)


@pytest.mark.usefixtures("launched")
def test_who_is_not_there_any_more_is_named_where_all_are_on_one_machine(tmp_path: Path) -> None:
    process(tmp_path, 10, rank=0)
    process(tmp_path, 11, rank=0, command=GUARD)
    assert joining.missing(2, tmp_path) == "rank 1 ended before joining"
    assert joining.missing(4, tmp_path).startswith("1 of the processes of ")


@pytest.mark.usefixtures("launched")
def test_where_all_of_a_machine_wait_the_others_are_to_blame(tmp_path: Path) -> None:
    for rank in (0, 1):
        process(tmp_path, 10 + rank, rank=rank)
        process(tmp_path, 20 + rank, rank=rank, command=GUARD)
    assert "another machine's are missing, or its ports are closed" in joining.missing(4, tmp_path)


def test_a_block_that_ends_in_time_is_left_alone() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, "240", "0"], capture_output=True, text=True, timeout=240)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "joined\n", "")


def test_a_block_that_does_not_end_is_ended_with_a_message() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, "0.1", "600"], capture_output=True, text=True, timeout=240)
    assert ended.returncode == -9
    assert re.match(r"error: rank 0 of 2 waited \d+ s for all processes to join \(MPI\): ", ended.stderr)
