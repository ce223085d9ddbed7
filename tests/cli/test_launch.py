"""Several processes: the signals that reach the launcher, translated for mpirun."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from centernet.cli import launch
launch._mpirun = lambda: sys.argv[1]
sys.exit(launch.run_processes(["train"], count=2))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_asks_for_a_checkpoint_and_is_the_exit_code(number: signal.Signals, code: int, tmp_path: Path) -> None:
    mpirun = tmp_path / "mpirun"
    # The pause: the launcher's handlers are in place a moment after it has started mpirun.
    mpirun.write_text(f"#!/bin/bash\ntrap 'echo asked; exit {128 + signal.SIGUSR1}' USR1\nsleep 0.5\necho \"got $*\"\nsleep 5 &\nwait\n")
    mpirun.chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(mpirun)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "got -n 2 --map-by :OVERSUBSCRIBE --bind-to none train\n"
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        assert process.wait() == code


def test_the_processes_own_exit_code_is_passed_on(tmp_path: Path) -> None:
    mpirun = tmp_path / "mpirun"
    mpirun.write_text("#!/bin/bash\nexit 3\n")
    mpirun.chmod(0o755)
    assert subprocess.run([sys.executable, "-c", PROGRAM, str(mpirun)], check=False).returncode == 3
