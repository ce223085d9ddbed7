"""Batches in order, made ahead of time by worker processes, or one by one in this process."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import util
from time import perf_counter
from typing import Literal

from centernet.data import memory, sampler
from centernet.data.batch_slots import Draft, Job, Slots
from centernet.data.in_process import InProcess
from centernet.data.leftovers import remove_fork_server_folder
from centernet.data.samples import LoaderError, Source
from centernet.data.shared_memory import OwnMemory, SharedMemory, batch_bytes
from centernet.data.worker_pool import StartMethod, WorkerPool
from centernet.errors import ConfigError
from centernet.structures import Array

__all__ = ["Batch", "Loader", "LoaderError", "Source"]

LOG = logging.getLogger(__name__)
EPOCHS_LOOKED_AT = 16  # for the largest batch: sources that change their size use all of them soon


@dataclass(frozen=True)
class Batch:
    """Samples side by side: arrays of shape (batch, ...), C-contiguous, and the image file behind each sample.

    The arrays are overwritten when the next batch is asked for.
    """

    arrays: dict[str, Array]
    names: list[str]


class Loader:
    """This process's share of the batches of an epoch; the same bytes for any number of workers and of processes.

    Workers are processes that write their samples into memory shared with this one: 1 + `prefetch` batches, whatever the
    number of workers. They start with the first batch and stay until `close` (or the end of a `with`, or of the program),
    after which the next epoch would start them again. However this process ends, they end too and leave nothing behind.

    wait_seconds: how long the consumer has waited for batches so far, over all epochs.
    batches_per_epoch: the same on every process.
    bad_images: {index: why} of the samples that could not be used. num_emptied: samples that a transform left without any
        object. Both count what was delivered.
    """

    def __init__(
        self,
        source: Source,
        *,
        global_batch: int,
        rank: int = 0,
        size: int = 1,
        num_local: int = 1,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        fill_last: bool = True,
        workers: int = 0,
        prefetch: int = 2,
        epochs: int | None = None,
        start_method: StartMethod = "forkserver",
        sample_seconds: float | None = 120.0,
        on_bad: Literal["stop", "skip"] = "stop",
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            source: makes the samples; must not change any more.
            global_batch: samples in one step over all processes.
            rank, size: this process, and how many there are. num_local: how many of them this machine's memory is for.
            seed, shuffle, drop_last, fill_last: see `sampler.batches_for_rank`. Without `fill_last` no sample comes twice in place
                of a bad one either: batches are smaller by those. A batch without samples has no arrays.
            workers: processes; 0 makes each batch when it is asked for.
            prefetch: batches in the making besides the one in use, >= 1. 1 + prefetch are in memory (1 without workers).
            epochs: how many follow each other, 0 being the first: the end of one is used to prepare the next. None: unknown.
            start_method: of the workers. "forkserver" and "spawn" do not mind CUDA, MPI or threads in this process.
            sample_seconds: how long a worker may be at one sample; None: for ever.
            on_bad: whether a sample that raises anything but a `CenterNetError`, hangs or ends its worker ends the run, or
                gives its place to the next one. (Files that cannot be read are the source's business.)

        Raises:
            ConfigError: a number out of range, more memory needed than there is, or no batch comes out of this data set.
        """
        if workers < 0 or prefetch < 1 or (sample_seconds is not None and sample_seconds <= 0):
            raise ConfigError(
                f"workers={workers}, prefetch={prefetch}, sample_seconds={sample_seconds}: "
                "expected workers >= 0, prefetch >= 1 and sample_seconds > 0"
            )
        self.source, self.workers, self.prefetch, self.epochs = source, workers, prefetch, epochs
        self.global_batch, self.rank, self.size = global_batch, rank, size
        self.seed, self.shuffle, self.drop_last, self.fill_last = seed, shuffle, drop_last, fill_last
        self.start_method, self.sample_seconds, self.on_bad = start_method, sample_seconds, on_bad
        self.wait_seconds = 0.0
        self.bad_images: dict[int, str] = {}
        self.num_emptied = 0
        self._jobs(0, 0)  # raises what is wrong with the numbers now, not in the first epoch
        self.batches_per_epoch = sampler.num_batches(len(source), global_batch=global_batch, drop_last=drop_last)
        largest = max(batch_bytes(source.specs(epoch), self._batch) for epoch in range(min(epochs or 1, EPOCHS_LOOKED_AT)))
        memory.check(largest, prefetch=prefetch, workers=workers, loaders=num_local)
        self._maker: WorkerPool | InProcess | None = None
        self._plan: Iterator[Job] = iter(())
        self._asked: deque[tuple[int, int]] = deque()  # (epoch, number) of the batches in the making
        self._iteration = 0

    def __len__(self) -> int:
        return self.batches_per_epoch

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and free the memory, but for arrays still in use."""
        if self._maker is not None:
            self._finalize()
            self._maker = None
            self._asked.clear()
            self._iteration += 1

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in order, from `start_batch` on. Beginning another iteration ends this one.

        Raises:
            CenterNetError: a sample has an error, raised when its batch is due.
            LoaderError: a sample or its worker failed unexpectedly, with `on_bad` "stop" or again and again.
            RuntimeError: another iteration began.
        """
        if start_batch >= self.batches_per_epoch:
            return
        self._seek(epoch, start_batch)
        iteration = self._iteration
        for _ in range(start_batch, self.batches_per_epoch):
            if iteration != self._iteration:
                raise RuntimeError("another iteration over this loader has begun, or it was closed")
            began = perf_counter()
            draft = self._next()
            self.wait_seconds += perf_counter() - began
            yield self._delivered(draft)

    @property
    def _batch(self) -> int:
        """The largest number of samples in this process's share of a batch."""
        return -(-self.global_batch // self.size)

    def _jobs(self, epoch: int, start: int) -> Iterator[Job]:
        batches = sampler.batches_for_rank(
            len(self.source),
            global_batch=self.global_batch,
            rank=self.rank,
            size=self.size,
            seed=self.seed,
            epoch=epoch,
            start=start,
            drop_last=self.drop_last,
            fill_last=self.fill_last,
            shuffle=self.shuffle,
        )
        return (Job(epoch, start + number, indices) for number, indices in enumerate(batches))

    def _planned(self, epoch: int, start: int) -> Iterator[Job]:
        yield from self._jobs(epoch, start)
        for later in range(epoch + 1, self.epochs or 0):
            yield from self._jobs(later, 0)

    def _seek(self, epoch: int, start: int) -> None:
        """Make sure that the next batch is this one, which looking ahead may have begun with."""
        self._iteration += 1
        maker = self._made_ready()
        maker.slots.release()
        if not self._asked or self._asked[0] != (epoch, start):
            maker.drop()
            self._asked.clear()
            self._plan = self._planned(epoch, start)

    def _made_ready(self) -> WorkerPool | InProcess:
        if self._maker is None:
            maker: WorkerPool | InProcess
            if self.workers:
                if self.start_method == "forkserver":
                    remove_fork_server_folder()
                maker = WorkerPool(
                    self.source,
                    Slots(self.source, [SharedMemory(0) for _ in range(1 + self.prefetch)], batch=self._batch),
                    workers=self.workers,
                    start_method=self.start_method,
                    sample_seconds=self.sample_seconds,
                    is_skipping=self.on_bad == "skip",
                )
            else:
                maker = InProcess(self.source, Slots(self.source, [OwnMemory()], batch=self._batch), is_skipping=self.on_bad == "skip")
            # Early at exit: multiprocessing itself would wait for workers that do not listen to SIGTERM.
            self._finalize = util.Finalize(self, maker.close, exitpriority=100)
            self._maker = maker
            maker.start()
        return self._maker

    def _next(self) -> Draft:
        maker = self._made_ready()
        maker.slots.release()
        try:
            while maker.slots.has_room and (job := next(self._plan, None)) is not None:
                maker.put(job)
                self._asked.append((job.epoch, job.number))
            draft = maker.get()
        except (LoaderError, OSError) as error:
            self.close()
            if isinstance(error, OSError):
                raise ConfigError(f"no memory for another batch: {error.strerror}; use a smaller batch, prefetch or input") from error
            raise
        self._asked.popleft()
        for outcome in draft.outcomes:
            if outcome is not None and outcome.error is not None:
                raise outcome.error
        return draft

    def _delivered(self, draft: Draft) -> Batch:
        outcomes = [outcome for outcome in draft.outcomes if outcome is not None]
        for outcome in outcomes:
            for index, reason in outcome.skipped:
                if index not in self.bad_images:
                    LOG.warning("%s; %s", reason, "another sample takes its place" if self.fill_last else "it is left out")
                    self.bad_images[index] = reason
            if outcome.is_emptied and not self.num_emptied:
                LOG.warning("%s: a transform left no object of it; such samples are kept as empty images, and counted", outcome.name)
            self.num_emptied += outcome.is_emptied
        kept = [position for position, outcome in enumerate(outcomes) if self.fill_last or not outcome.skipped]
        is_whole = len(kept) == len(outcomes)
        arrays = draft.arrays if is_whole else {name: array[kept] for name, array in draft.arrays.items()}
        return Batch(arrays if kept else {}, [outcomes[position].name for position in kept])
