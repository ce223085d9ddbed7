"""How an error of one process ends all of them, and what it says."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, Protocol

from centernet.errors import CenterNetError, TrainingError

NO_MEMORY = ("memory error in alloc", "out of memory")  # NNabla's RuntimeError says so
PATIENCE = 0.5  # seconds: all ranks usually fail with the same error, and the first one's message is enough


class Interrupted(Exception):
    """A measurement was given up on all ranks alike, because one of them got a signal."""


class Ranks(Protocol):
    """What is needed of a communicator."""

    rank: int
    size: int

    def abort(self, exit_code: int) -> NoReturn:
        """End all processes now."""


@contextmanager
def ending_all(communicator: Ranks) -> Iterator[None]:
    """An error of one rank ends every process, with that rank's message; without other processes it is just raised."""
    try:
        yield
    except BaseException as error:
        if communicator.size == 1:
            raise
        if isinstance(error, SystemExit) and not error.code:
            raise
        time.sleep(PATIENCE * min(communicator.rank, 4))
        communicator.abort(_report(error, communicator))


def _report(error: BaseException, communicator: Ranks) -> int:
    """Print what went wrong and return the exit code for it."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    where = f"rank {communicator.rank} of {communicator.size}"
    if is_out_of_memory(error):
        cure = "lower train.batch_size (and raise train.accumulate), or data.input_size, or start fewer processes on a machine"
        what = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {where} on {platform.node()} is out of memory ({what}); {cure}", file=sys.stderr)
        return TrainingError.exit_code
    if isinstance(error, CenterNetError):
        print(f"error: {error} ({where})", file=sys.stderr)
        return error.exit_code
    sys.excepthook(type(error), error, error.__traceback__)
    print(f"error: {where} failed: {type(error).__name__}: {error}", file=sys.stderr)
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy, NNabla or CUDA could not have the memory they asked for."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(part in str(error) for part in NO_MEMORY))
