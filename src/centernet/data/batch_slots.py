"""The memory that batches are made in: a few slots, used over and over."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from centernet.data.pipeline import ArraySpec
from centernet.data.samples import Outcome, Source, clear
from centernet.data.shared_memory import Memory, batch_arrays, batch_bytes
from centernet.structures import Array


@dataclass(frozen=True)
class Job:
    """This process's share of batch `number` of an epoch: which samples it is made of."""

    epoch: int
    number: int
    indices: Array


class Draft:
    """A batch in the making.

    arrays: (n, ...) each, in the memory of slot number `slot`. waiting: positions that nobody works at.
    missing: how many samples are not there yet. outcomes: of those that are.
    """

    def __init__(self, job: Job, slot: int, arrays: Mapping[str, Array]) -> None:
        self.job, self.slot = job, slot
        self.arrays = {name: array[: len(job.indices)] for name, array in arrays.items()}
        self.waiting = deque(range(len(job.indices)))
        self.missing = len(job.indices)
        self.outcomes: list[Outcome | None] = [None] * len(job.indices)

    def place(self, position: int) -> dict[str, Array]:
        """Where a sample belongs."""
        return {name: array[position, ...] for name, array in self.arrays.items()}

    def settle(self, position: int, outcome: Outcome) -> None:
        """Note what became of a sample."""
        self.outcomes[position] = outcome
        self.missing -= 1

    def give_up(self) -> None:
        """Make no more than what is being worked at."""
        self.missing -= len(self.waiting)
        self.waiting.clear()


class Slots:
    """Room for a batch of up to `batch` samples of a source in each `memory`.

    A memory holds zeros or samples with the arrays that are asked for, never others.
    """

    def __init__(self, source: Source, memory: Sequence[Memory], *, batch: int) -> None:
        self.memory, self.batch = memory, batch
        self._source = source
        self._newest: tuple[int, dict[str, ArraySpec]] = -1, {}  # of one epoch: asking takes a source some milliseconds
        self._free = list(range(len(memory)))
        self._lent: Draft | None = None
        self._specs: list[dict[str, ArraySpec]] = [{} for _ in memory]
        self._arrays: list[dict[str, Array]] = [{} for _ in memory]

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return bool(self._free)

    def take(self, job: Job) -> Draft:
        """A free slot for a job; OSError where there is not enough memory."""
        if job.epoch != self._newest[0]:
            self._newest = job.epoch, self._source.specs(job.epoch)
        slot = self._free.pop(0)
        if self._specs[slot] != self._newest[1]:
            self._prepare(slot, self._newest[1])
        return Draft(job, slot, self._arrays[slot])

    def _prepare(self, slot: int, specs: dict[str, ArraySpec]) -> None:
        self.memory[slot].grow(batch_bytes(specs, self.batch))
        self._arrays[slot] = batch_arrays(self.memory[slot], specs, self.batch)
        clear(self._arrays[slot])
        self._specs[slot] = specs

    def give_back(self, draft: Draft) -> None:
        """The slot's arrays may be overwritten."""
        self._free.append(draft.slot)

    def lend(self, draft: Draft) -> None:
        """Its arrays are the consumer's until `release`."""
        self._lent = draft

    def release(self) -> None:
        """The batch lent last is not needed any more."""
        if self._lent is not None:
            self.give_back(self._lent)
            self._lent = None
