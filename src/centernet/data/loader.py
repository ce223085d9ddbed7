"""Batches in order, made by threads ahead of time: OpenCV and large NumPy operations release the interpreter's lock."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from centernet.data import sampler
from centernet.data.pipeline import Item
from centernet.errors import ConfigError
from centernet.imaging import io
from centernet.structures import Array


class Source(Protocol):
    """What the loader needs of a pipeline; `item` is called from several threads."""

    def __len__(self) -> int: ...

    def item(self, epoch: int, index: int, *, out: Mapping[str, Array] | None = None) -> Item: ...


@dataclass(frozen=True)
class Batch:
    """Samples side by side: arrays of shape (batch, ...), C-contiguous, and the image file behind each sample."""

    arrays: dict[str, Array]
    names: list[str]


class Loader:
    """This process's share of the batches of an epoch; the same bytes for any number of workers and of processes.

    wait_seconds: how long the consumer has waited for batches so far, over all epochs.
    batches_per_epoch: the same on every process.
    """

    def __init__(
        self,
        source: Source,
        *,
        global_batch: int,
        rank: int = 0,
        size: int = 1,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        fill_last: bool = True,
        workers: int = 0,
        prefetch: int = 2,
    ) -> None:
        """Prepare; threads exist only while an epoch is iterated.

        Args:
            source: makes the samples.
            global_batch: samples in one step over all processes.
            rank, size: this process, and how many there are.
            seed, shuffle, drop_last, fill_last: see `sampler.batches_for_rank`; a batch without samples has no arrays.
            workers: threads; 0 makes each batch when it is asked for.
            prefetch: batches in the making besides the one in use, >= 1. Up to 1 + prefetch are in memory.

        Raises:
            ConfigError: a number out of range, or no batch comes out of this data set.
        """
        if workers < 0 or prefetch < 1:
            raise ConfigError(f"workers={workers}, prefetch={prefetch}: expected workers >= 0 and prefetch >= 1")
        self.source, self.workers, self.prefetch = source, workers, prefetch
        self.global_batch, self.rank, self.size = global_batch, rank, size
        self.seed, self.shuffle, self.drop_last, self.fill_last = seed, shuffle, drop_last, fill_last
        self.wait_seconds = 0.0
        self._indices(epoch=0, start_batch=0)  # raises what is wrong with the numbers now, not in the first epoch
        self.batches_per_epoch = sampler.num_batches(len(source), global_batch=global_batch, drop_last=drop_last)

    def __len__(self) -> int:
        return self.batches_per_epoch

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in order, from `start_batch` on.

        An error in a sample is raised here, when its batch is due. Leaving the iteration early ends the threads.
        """
        indices = self._indices(epoch=epoch, start_batch=start_batch)
        if not self.workers:
            return self._timed(_assemble(self.source, epoch, batch) for batch in indices)
        return self._timed(self._ahead(epoch, indices))

    def _indices(self, *, epoch: int, start_batch: int) -> Iterator[Array]:
        return sampler.batches_for_rank(
            len(self.source),
            global_batch=self.global_batch,
            rank=self.rank,
            size=self.size,
            seed=self.seed,
            epoch=epoch,
            start=start_batch,
            drop_last=self.drop_last,
            fill_last=self.fill_last,
            shuffle=self.shuffle,
        )

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        try:
            while True:
                began = time.perf_counter()
                batch = next(batches, None)
                self.wait_seconds += time.perf_counter() - began
                if batch is None:
                    return
                yield batch
        finally:
            batches.close()  # type: ignore[attr-defined]

    def _ahead(self, epoch: int, indices: Iterator[Array]) -> Iterator[Batch]:
        io.limit_threads(1)  # the workers are the threads; OpenCV's own would only get in each other's way
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="loader")
        pending: deque[_PendingBatch] = deque()
        try:
            for batch in indices:
                pending.append(_PendingBatch(pool, self.source, epoch, batch))
                if len(pending) > self.prefetch:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Slots:
    """The arrays of one batch, allocated when its first sample shows names, shapes and types."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.arrays: dict[str, Array] = {}
        self._lock = threading.Lock()

    def at(self, number: int) -> dict[str, Array] | None:
        """Where sample `number` belongs, if that is known already."""
        return {name: array[number, ...] for name, array in self.arrays.items()} or None

    def store(self, number: int, item: Item, slot: Mapping[str, Array] | None) -> None:
        """Copy what was not written in place."""
        with self._lock:
            if not self.arrays:
                made = {name: np.asarray(array) for name, array in item.arrays.items()}
                self.arrays = {name: np.empty((self.count, *array.shape), array.dtype) for name, array in made.items()}
        for name, array in item.arrays.items():
            if slot is None or array is not slot.get(name):
                self.arrays[name][number] = array


def _assemble(source: Source, epoch: int, indices: Array) -> Batch:
    slots = _Slots(len(indices))
    names = [_fill(source, epoch, int(index), slots, number) for number, index in enumerate(indices)]
    return Batch(slots.arrays, names)


def _fill(source: Source, epoch: int, index: int, slots: _Slots, number: int) -> str:
    slot = slots.at(number)
    item = source.item(epoch, index, out=slot)
    slots.store(number, item, slot)
    return item.name


class _PendingBatch:
    """A batch whose samples are being made, in any order."""

    def __init__(self, pool: ThreadPoolExecutor, source: Source, epoch: int, indices: Array) -> None:
        self.slots = _Slots(len(indices))
        self.samples: list[Future[str]] = [
            pool.submit(_fill, source, epoch, int(index), self.slots, number) for number, index in enumerate(indices)
        ]

    def result(self) -> Batch:
        """Wait for all of them; the first error in the batch's order is raised."""
        names = [sample.result() for sample in self.samples]  # first, since the slots are allocated by a sample
        return Batch(self.slots.arrays, names)
