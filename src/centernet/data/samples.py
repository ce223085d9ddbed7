"""One sample of a batch: what is asked for, and what became of it."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from centernet.data.pipeline import ArraySpec, Item
from centernet.errors import CenterNetError, DataError
from centernet.structures import Array

MOST_LOSSES = 10  # without a sample made in between


class LoaderError(DataError):
    """A sample could not be made for another reason than its file: a mistake in the code, or the end of its process."""

    @property
    def reason(self) -> str:
        """The text without the place in the code, if there is one."""
        return str(self).split("\n", 1)[0]


class Source(Protocol):
    """What the loader needs of a pipeline; `data.pipeline.Pipeline` says what each does."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str: ...

    def specs(self, epoch: int) -> dict[str, ArraySpec]: ...

    def partners(self, epoch: int, index: int) -> Sequence[int]: ...

    def item(self, epoch: int, index: int, *, out: Mapping[str, Array] | None = None, first: int = 0, is_alone: bool = False) -> Item: ...


@dataclass(frozen=True)
class Task:
    """Make sample `index` of an epoch for a position in the batch that a slot holds; `first` and `is_alone` as in `Pipeline.item`."""

    slot: int
    position: int
    epoch: int
    index: int
    first: int = 0
    is_alone: bool = False


@dataclass(frozen=True)
class Outcome:
    """What is known of a sample besides its arrays; see `Item`. error: why there are none."""

    name: str
    skipped: tuple[tuple[int, str], ...] = ()
    is_emptied: bool = False
    error: CenterNetError | None = None


def attempt(source: Source, task: Task, out: Mapping[str, Array]) -> Outcome:
    """Make a sample in place.

    Args:
        source: makes it.
        task: which one.
        out: an array for each of the source's `specs`, as `Pipeline.item` wants them. Zeros after an error.
    """
    try:
        item = source.item(task.epoch, task.index, out=out, first=task.first, is_alone=task.is_alone)
        for name, array in item.arrays.items():
            if array is not out[name]:
                _copy(array, out[name], f"{item.name}: {name}")
    except Exception as error:
        clear(out)
        return Outcome(source.name(task.index), error=_sendable(error, name_of(source, task)))
    return Outcome(item.name, item.skipped, item.is_emptied)


def name_of(source: Source, task: Task) -> str:
    """What to call the sample of a task in messages: its image, and those beside it."""
    name = source.name((task.index + task.first) % len(source))
    partners = () if task.is_alone else source.partners(task.epoch, task.index)
    return f"{name} (beside {', '.join(map(source.name, partners))})" if partners else name


def clear(arrays: Mapping[str, Array]) -> None:
    """Zeros, so that whoever erases only what was drawn before cannot miss what a failed sample left."""
    for array in arrays.values():
        array[...] = 0


def _copy(array: Array, place: Array, what: str) -> None:
    if array.shape != place.shape or array.dtype != place.dtype:
        raise ValueError(f"{what} is {array.dtype} {array.shape}, but the source's specs say {place.dtype} {place.shape}")
    place[...] = array


def _sendable(error: Exception, name: str) -> CenterNetError:
    """The error as another process can receive it; one that was not meant for the user tells where it comes from."""
    if isinstance(error, CenterNetError):
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return LoaderError(str(error))
        return error
    place = "".join(traceback.format_exception(error)).rstrip()
    return LoaderError(f"{name}: this sample failed: {type(error).__name__}: {error}\n{place}")


class Lost:
    """The samples that cannot be made, and what takes their places.

    One with other images beside it is tried alone before it is lost, and made alone where one of those is known to be lost.
    An error that is not meant for the user, a worker that died and one that hung are not the source's business as a broken file
    is, so it is decided here whether the run ends.
    """

    def __init__(self, source: Source, *, is_skipping: bool) -> None:
        """is_skipping: another sample takes the place of a lost one; otherwise the loss is the outcome."""
        self._source, self._is_skipping = source, is_skipping
        self._reasons: dict[int, str] = {}
        self._alone: set[tuple[int, int]] = set()  # (epoch, index)
        self._in_a_row = 0

    def task(self, slot: int, position: int, epoch: int, index: int) -> Task:
        """What to do for a sample: the first that is not lost, from `index` on; LoaderError if all are."""
        count = len(self._source)
        for first in range(count):
            if (index + first) % count not in self._reasons:
                return Task(slot, position, epoch, index, first, is_alone=first > 0 or self._is_alone(epoch, index))
        raise LoaderError(f"none of the {count} samples can be made; for example {self._reasons[index]}")

    def _is_alone(self, epoch: int, index: int) -> bool:
        if (epoch, index) in self._alone:
            return True
        return bool(self._reasons) and not self._reasons.keys().isdisjoint(self._source.partners(epoch, index))

    def judged(self, task: Task, outcome: Outcome) -> Outcome | None:
        """The outcome with all that was passed over, or None if the task is to be given out again; LoaderError after too many."""
        count = len(self._source)
        if isinstance(outcome.error, LoaderError):
            self.count(outcome.error.reason)
            if self._is_skipping and not task.is_alone and self._source.partners(task.epoch, task.index):
                self._alone.add((task.epoch, task.index))  # it may have been any of them
                return None
            if self._is_skipping:
                self._reasons[(task.index + task.first) % count] = outcome.error.reason
                return None
        else:
            self._in_a_row = 0
        passed = [(task.index + step) % count for step in range(task.first)]
        return replace(outcome, skipped=(*((index, self._reasons[index]) for index in passed), *outcome.skipped))

    def count(self, reason: str) -> None:
        """Note one more loss; LoaderError if there have been too many without a sample made in between."""
        self._in_a_row += 1
        if self._in_a_row >= MOST_LOSSES:
            raise LoaderError(f"{self._in_a_row} times in a row a sample or its worker was lost, so it is not single files: {reason}")
