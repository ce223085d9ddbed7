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
    mpirun.write_text(f"#!/bin/bash\ntrap 'kill $!; echo asked; exit {128 + signal.SIGUSR1}' USR1\nsleep 600 &\necho \"got $*\"\nwait\n")
    mpirun.chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(mpirun)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "got -n 2 --map-by :OVERSUBSCRIBE --bind-to none train\n"
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        assert process.wait() == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_before_mpirun_runs_is_passed_on_too(number: signal.Signals, tmp_path: Path) -> None:
    mpirun, sent = tmp_path / "mpirun", tmp_path / "sent"
    trap = f"trap 'kill $!; exit {128 + signal.SIGUSR1}' USR1"
    mpirun.write_text(f"#!/bin/bash\n{trap}\nsleep 600 &\nkill -{number.value} $PPID\ntouch {sent}\nwait\n")
    mpirun.chmod(0o755)
    slowed = """
import os, subprocess, sys, time
start = subprocess.Popen.__init__
def start_and_be_slow(self, *arguments, **options):
    start(self, *arguments, **options)
    while not os.path.exists(sys.argv[2]):  # until the signal has come
        time.sleep(0.01)
subprocess.Popen.__init__ = start_and_be_slow
"""
    ended = subprocess.run([sys.executable, "-c", slowed + PROGRAM, str(mpirun), str(sent)], check=False)
    assert ended.returncode == 128 + number


def test_the_processes_own_exit_code_is_passed_on(tmp_path: Path) -> None:
    mpirun = tmp_path / "mpirun"
    mpirun.write_text("#!/bin/bash\nexit 3\n")
    mpirun.chmod(0o755)
    assert subprocess.run([sys.executable, "-c", PROGRAM, str(mpirun)], check=False).returncode == 3
