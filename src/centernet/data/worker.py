"""A process that makes samples: what runs in it, and what its parent holds of it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
from collections import deque
from collections.abc import Sequence
from multiprocessing import connection, reduction, resource_tracker, util
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

from threadpoolctl import threadpool_limits

from centernet.data.parcel import Parcel
from centernet.data.samples import Outcome, Source, Task, attempt
from centernet.data.shared_memory import Memory, batch_arrays
from centernet.imaging import io
from centernet.structures import Array

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
# Terminals and launchers send these to parent and workers alike; what to do is the parent's decision.
NOT_FOR_WORKERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Worker:
    """The parent's side of a worker process.

    tasks: what it was told to do and has not answered yet, in order; it works at the first one.
    began: when it could begin with that one, or was started (seconds of `time.monotonic`). is_ready: it has said that it runs.
    """

    def __init__(self, context: BaseContext, source: Parcel[Source], slots: Sequence[Memory], batch: int, *, began: float) -> None:
        """Start it, from a thread that shall not get signals. Arguments as for `serve`."""
        self.tasks: deque[Task] = deque()
        self.began, self.is_ready = began, False
        self.connection, theirs = context.Pipe()
        reading, self._lifeline = os.pipe()
        util.register_after_fork(self, Worker._close_ends)  # a fork must not keep them open when this process dies
        arguments = (source, slots, batch, theirs, _Descriptor(reading))
        self.process: Any = context.Process(target=serve, args=arguments, name="loader", daemon=True)  # type: ignore[attr-defined]
        _block_signals(context)
        try:
            self.process.start()
        except BaseException:
            self._close_ends()
            raise
        finally:
            theirs.close()
            os.close(reading)

    def ask(self, task: Task, *, now: float) -> None:
        """Give it one more task."""
        if not self.tasks:
            self.began = now
        self.tasks.append(task)
        with contextlib.suppress(OSError):  # it is dead, which its sentinel will tell
            self.connection.send(task)

    def answer(self, *, now: float) -> Outcome | None:
        """What it says next: the outcome of its first task, which is no longer one of its tasks, or None when it has come up."""
        outcome: Outcome | None = self.connection.recv()
        self.began = now
        if outcome is None:
            self.is_ready = True
        return outcome

    def dismiss(self) -> None:
        """Let it end when it has finished its sample."""
        self.connection.close()

    def end(self, *, patience: float = 0.0) -> int:
        """End it, forcibly if it takes longer than `patience` seconds; returns the exit code, -N after signal N."""
        self.dismiss()
        self.process.join(patience)
        self._close_ends()
        if self.process.exitcode is None:
            self.process.kill()
        self.process.join()
        code: int = self.process.exitcode
        self.process.close()
        return code

    def _close_ends(self) -> None:
        self.connection.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def _block_signals(context: BaseContext) -> None:
    """In this thread and the processes it starts (the fork server too): Ctrl-C must not hit them before they can ignore it."""
    if context.get_start_method() != "fork":
        resource_tracker.ensure_running()  # else started with the process; it unblocks signals when it is done
    signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_WORKERS)


class _Descriptor:
    """A file descriptor that can be sent to a process being started."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.number),)


def _received(descriptor: Any) -> _Descriptor:
    return _Descriptor(descriptor.detach())


def serve(source: Parcel[Source], slots: Sequence[Memory], batch: int, tasks: Connection, lifeline: _Descriptor) -> None:
    """Make samples until the parent closes its end of `tasks` or dies.

    Args:
        source: makes the samples.
        slots: each holds the arrays of `batch` samples.
        tasks: brings tasks; gets None once at the start, then an outcome for each task.
        lifeline: a pipe that nobody writes to and only the parent could; when that dies, this process does too.
    """
    for number in NOT_FOR_WORKERS:
        signal.signal(number, signal.SIG_IGN)
    _die_with(lifeline.number)
    io.limit_threads(1)  # the workers are what runs in parallel
    threadpool_limits(1)
    _keep_freed_memory()
    views = _Views(source.value, slots, batch)
    with contextlib.suppress(EOFError, OSError):  # the parent does not want any more
        tasks.send(None)
        while True:
            task: Task = tasks.recv()
            tasks.send(attempt(source.value, task, views.of(task)))


def _keep_freed_memory() -> None:
    """Let the C library keep what a sample frees for the next one: getting it from the system anew took a third of a worker's time."""
    with contextlib.suppress(AttributeError):  # not the GNU library
        for parameter, num_bytes in ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, 512 << 20)):
            ctypes.CDLL(None).mallopt(parameter, num_bytes)


def _die_with(lifeline: int) -> None:
    """Be killed by the system itself when the other end is closed: also a worker that hangs in C must not stay behind."""
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if connection.wait([lifeline], 0):  # closed before
        os._exit(1)


class _Views:
    """Where each sample belongs; the arrays of the epochs last used are kept."""

    def __init__(self, source: Source, slots: Sequence[Memory], batch: int) -> None:
        self._source, self._slots, self._batch = source, slots, batch
        self._kept: dict[int, list[dict[str, Array] | None]] = {}

    def of(self, task: Task) -> dict[str, Array]:
        if task.epoch not in self._kept:
            self._kept = {epoch: kept for epoch, kept in self._kept.items() if epoch == task.epoch - 1}
            self._kept[task.epoch] = [None] * len(self._slots)
        arrays = self._kept[task.epoch][task.slot]
        if arrays is None:
            arrays = batch_arrays(self._slots[task.slot], self._source.specs(task.epoch), self._batch)
            self._kept[task.epoch][task.slot] = arrays
        return {name: array[task.position, ...] for name, array in arrays.items()}
