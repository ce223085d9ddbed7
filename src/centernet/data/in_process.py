"""Batches made in this process when they are asked for: the way without workers."""

from __future__ import annotations

from collections import deque

from centernet.data.batch_slots import Filling, Job, Slots
from centernet.data.samples import Lost, Source, attempt


class InProcess:
    """Has the methods of `WorkerPool`, and makes a batch when `get` wants it."""

    def __init__(self, source: Source, slots: Slots, *, is_skipping: bool) -> None:
        """Arguments: see `WorkerPool`."""
        self._source, self._slots = source, slots
        self._lost = Lost(source, is_skipping=is_skipping)
        self._fillings: deque[Filling] = deque()
        self._in_use: Filling | None = None

    def start(self) -> None:
        """Nothing to start."""

    @property
    def has_room(self) -> bool:
        """Whether `put` may be called."""
        return self._slots.has_room

    def put(self, job: Job) -> None:
        """Note which batch is next."""
        self._fillings.append(self._slots.take(job))

    def get(self) -> Filling:
        """Make the oldest batch; its arrays are valid until `release`. The first error ends it."""
        filling = self._in_use = self._fillings.popleft()
        while filling.waiting:
            position = filling.waiting[0]
            task = self._lost.task(filling.slot, position, filling.job.epoch, int(filling.job.indices[position]))
            outcome = self._lost.judged(task, attempt(self._source, task, filling.place(position)))
            if outcome is None:
                continue
            filling.waiting.popleft()
            filling.settle(position, outcome)
            if outcome.error is not None:
                break
        return filling

    def release(self) -> None:
        """The batch got last is not needed any more."""
        if self._in_use is not None:
            self._slots.give_back(self._in_use)
            self._in_use = None

    def drop(self) -> None:
        """Forget all batches asked for."""
        while self._fillings:
            self._slots.give_back(self._fillings.popleft())

    def close(self) -> None:
        """Nothing to end."""
