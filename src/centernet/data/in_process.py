"""Batches made in this process when they are asked for: the way without workers."""

from __future__ import annotations

from collections import deque

from centernet.data.batch_slots import Draft, Job, Slots
from centernet.data.samples import Lost, Source, attempt


class InProcess:
    """Has the methods of `WorkerPool`, and makes a batch when `get` wants it."""

    def __init__(self, source: Source, slots: Slots, *, is_skipping: bool) -> None:
        """Arguments: see `WorkerPool`."""
        self._source, self.slots = source, slots
        self._lost = Lost(source, is_skipping=is_skipping)
        self._drafts: deque[Draft] = deque()

    def start(self) -> None:
        """Nothing to start."""

    def put(self, job: Job) -> None:
        """Note which batch is next."""
        self._drafts.append(self.slots.take(job))

    def get(self) -> Draft:
        """Make the oldest batch; the slots lend it. The first error ends it."""
        draft = self._drafts.popleft()
        self.slots.lend(draft)
        while draft.waiting:
            position = draft.waiting[0]
            task = self._lost.task(draft.slot, position, draft.job.epoch, int(draft.job.indices[position]))
            outcome = self._lost.judged(task, attempt(self._source, task, draft.place(position)))
            if outcome is None:
                continue
            draft.waiting.popleft()
            draft.settle(position, outcome)
            if outcome.error is not None:
                break
        return draft

    def drop(self) -> None:
        """Forget all batches asked for."""
        while self._drafts:
            self.slots.give_back(self._drafts.popleft())

    def close(self) -> None:
        """Nothing to end."""
