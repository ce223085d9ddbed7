"""A lock between processes for work that can be left undone: nobody waits long, and the system releases it when its holder is killed."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 0.1  # seconds: what the lock guards takes microseconds, so a longer wait means that its holder was stopped
_PAUSE = 0.0005


@contextmanager
def briefly_locked(path: str | os.PathLike[str]) -> Iterator[bool]:
    """Hold the lock of an existing file, against all other threads and processes; False where it cannot be had soon.

    The file is opened anew each time: a lock belongs to an open file, and one that a fork inherited would not keep the child out.
    Where the file system has no locks, it is held as it is; what it guards must then stay correct without.

    Args:
        path: of a file that can be written to.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        is_held = _held(descriptor)
        try:
            yield is_held
        finally:
            if is_held:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # not left to closing: a process forked meanwhile holds the open file too
    finally:
        os.close(descriptor)


def _held(descriptor: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
                return True
        else:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
