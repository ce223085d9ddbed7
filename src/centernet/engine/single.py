"""The communicator of a process alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NoReturn, TypeVar

import numpy as np

from centernet.structures import Array

T = TypeVar("T")


class Single:
    """A process alone."""

    rank = 0
    size = 1
    local_rank = 0

    def __init__(self) -> None:
        self._signals: Collection[int] = ()

    def sum_in_place(self, array: Array) -> None:
        """Nothing to add."""

    def average(self, arrays: Sequence[Any]) -> None:
        """Nothing to average with."""

    def reduce_during_backward(self, gradients: Sequence[Any]) -> Any:
        """Nothing to reduce."""
        return None

    def sum(self, values: Sequence[float] | Array) -> Array:
        """The values themselves."""
        return np.asarray(values, np.float64)

    def broadcast(self, value: T) -> T:
        """The value itself."""
        return value

    def gather(self, value: T) -> list[T]:
        """The value, alone in a list."""
        return [value]

    def any(self, flag: bool) -> bool:
        """The flag itself."""
        return bool(flag)

    def barrier(self) -> None:
        """Nobody to wait for."""

    def abort(self, exit_code: int) -> NoReturn:
        """End this process."""
        raise SystemExit(exit_code)

    def doing(self, what: str, *, extra: float = 0.0) -> AbstractContextManager[None]:
        """Nobody asks."""
        return nullcontext()

    def beat(self) -> None:
        """Nobody listens."""

    @contextmanager
    def stopping_at(self, signals: Collection[int]) -> Iterator[None]:
        """Nobody else has any."""
        self._signals = signals
        try:
            yield
        finally:
            self._signals = ()

    @property
    def is_stopping(self) -> bool:
        """Its own."""
        return bool(self._signals)
