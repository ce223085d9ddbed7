"""Samples as they are on disk, in order, read ahead by threads: what evaluation and pictures need."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong  # another class than the built-in one until Python 3.11
from contextlib import closing
from queue import SimpleQueue
from threading import Thread, current_thread
from time import monotonic
from typing import Literal, Protocol

from centernet.errors import DataError
from centernet.structures import Sample

LOG = logging.getLogger(__name__)


class Dataset(Protocol):
    """What is read; from several threads."""

    def name(self, index: int) -> str: ...

    def sample(self, index: int) -> Sample: ...


def read_ahead(
    dataset: Dataset,
    indices: Iterable[int],
    *,
    workers: int = 2,
    ahead: int = 16,
    on_bad_image: Literal["stop", "skip"] = "stop",
    sample_seconds: float | None = 120.0,
) -> Iterator[tuple[int, Sample]]:
    """(index, sample) for every index, in order.

    Args:
        workers: threads that read and decode, >= 1.
        ahead: samples read before they are asked for, which bounds the memory.
        on_bad_image: skip leaves an unreadable image out and names it; an evaluation then counts it without detections.
        sample_seconds: how long to wait for a sample before its image is taken for unreadable; None: for ever.

    Raises:
        DataError: an image cannot be read and `on_bad_image` is "stop".
    """
    pending: deque[tuple[int, Future[Sample]]] = deque()

    def due() -> Iterator[tuple[int, Sample]]:
        index, future = pending.popleft()
        try:
            yield index, readers.result(index, future)
        except DataError as error:
            if on_bad_image == "stop":
                raise
            LOG.warning("skipped, it counts as an image without detections: %s", error)

    with closing(_Readers(dataset, workers, sample_seconds)) as readers:
        for index in indices:
            pending.append((int(index), readers.read(int(index))))
            if len(pending) > ahead:
                yield from due()
        while pending:
            yield from due()


class _Readers:
    """Threads that read samples. One that hangs in a file system cannot be ended: it is replaced, and nobody waits for it."""

    def __init__(self, dataset: Dataset, number: int, seconds: float | None) -> None:
        self._dataset, self._seconds = dataset, seconds
        self._asked: SimpleQueue[tuple[int, Future[Sample]] | None] = SimpleQueue()
        self._busy: dict[Thread, Future[Sample] | None] = {}
        for _ in range(number):
            self._start()

    def read(self, index: int) -> Future[Sample]:
        """The sample to come."""
        future: Future[Sample] = Future()
        self._asked.put((index, future))
        return future

    def result(self, index: int, future: Future[Sample]) -> Sample:
        """Wait for a sample all of whose predecessors have been waited for, so that a thread works at it; DataError after too long."""
        try:
            return future.result(self._seconds)
        except WaitedTooLong as error:
            for thread, its in list(self._busy.items()):
                if its is future:
                    del self._busy[thread]
                    self._start()
            raise DataError(f"{self._dataset.name(index)}: not read after {self._seconds} s (the limit is data.sample_seconds)") from error

    def close(self) -> None:
        """Wait for the threads, but for those that hang."""
        while not self._asked.empty():
            self._asked.get()
        for _ in self._busy:
            self._asked.put(None)
        deadline = None if self._seconds is None else monotonic() + self._seconds
        for thread in list(self._busy):
            thread.join(None if deadline is None else max(0.0, deadline - monotonic()))

    def _start(self) -> None:
        thread = Thread(target=self._run, name="reader", daemon=True)
        self._busy[thread] = None
        thread.start()

    def _run(self) -> None:
        thread = current_thread()
        while thread in self._busy and (asked := self._asked.get()) is not None:
            index, future = asked
            self._busy[thread] = future
            try:
                future.set_result(self._dataset.sample(index))
            except BaseException as error:
                future.set_exception(error)
