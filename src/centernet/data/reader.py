"""Samples as they are on disk, in order, read ahead by threads: what evaluation and pictures need."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, Protocol

from centernet.errors import DataError
from centernet.structures import Sample

LOG = logging.getLogger(__name__)


class Dataset(Protocol):
    """What is read; from several threads."""

    def sample(self, index: int) -> Sample: ...


def read_ahead(
    dataset: Dataset, indices: Iterable[int], *, workers: int = 2, ahead: int = 16, on_bad_image: Literal["stop", "skip"] = "stop"
) -> Iterator[tuple[int, Sample]]:
    """(index, sample) for every index, in order.

    Args:
        workers: threads that read and decode, >= 1.
        ahead: samples read before they are asked for, which bounds the memory.
        on_bad_image: skip leaves an unreadable image out and names it; an evaluation then counts it without detections.

    Raises:
        DataError: an image cannot be read and `on_bad_image` is "stop".
    """
    pool = ThreadPoolExecutor(max(1, workers), thread_name_prefix="reader")
    pending: deque[tuple[int, Future[Sample]]] = deque()
    try:
        for index in indices:
            pending.append((int(index), pool.submit(dataset.sample, int(index))))
            if len(pending) > ahead:
                yield from _due(pending, on_bad_image)
        while pending:
            yield from _due(pending, on_bad_image)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _due(pending: deque[tuple[int, Future[Sample]]], on_bad_image: str) -> Iterator[tuple[int, Sample]]:
    index, future = pending.popleft()
    try:
        yield index, future.result()
    except DataError as error:
        if on_bad_image == "stop":
            raise
        LOG.warning("skipped, it counts as an image without detections: %s", error)
