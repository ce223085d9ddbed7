"""A pipeline on its way to other processes: large arrays are put once where all of them can read them."""

from __future__ import annotations

import io
import multiprocessing
import pickle
from collections.abc import Sequence
from types import BuiltinFunctionType, FunctionType
from typing import Any, Generic, TypeVar

from centernet.data.shared_memory import SharedMemory, aligned

T = TypeVar("T")


class Parcel(Generic[T]):
    """A value that must not change any more; in the processes it is sent to, its arrays are read-only and nobody's own copy.

    (The annotations of COCO are 60 MB, which 8 workers for each of 8 GPUs would make 4 GB.)
    """

    def __init__(self, value: T) -> None:
        self.value = value
        self._memory: SharedMemory | None = None
        self._sizes: list[int] = []
        self._rest = SharedMemory(0)

    def __reduce__(self) -> tuple[Any, ...]:
        buffers: list[pickle.PickleBuffer] = []
        stream = io.BytesIO()
        pickler = _Pickler(stream, protocol=5, buffer_callback=buffers.append)
        pickler.dump(self.value)
        # The fork server starts when its first process has been pickled, so it learns in time what to load once for all.
        multiprocessing.set_forkserver_preload(sorted(pickler.modules))
        self._rest = SharedMemory(stream.tell())  # through a pipe it would hold up the parent until the process reads it
        self._rest.buffer(stream.tell())[:] = stream.getbuffer()
        return _opened, (self._rest, stream.tell(), self._filled(buffers), self._sizes)

    def _filled(self, buffers: Sequence[pickle.PickleBuffer]) -> SharedMemory:
        parts = [buffer.raw() for buffer in buffers]
        sizes = [part.nbytes for part in parts]
        if self._memory is None or sizes != self._sizes:
            self._memory, self._sizes = SharedMemory(sum(map(aligned, sizes))), sizes
            for place, part in zip(_places(self._memory, sizes), parts, strict=True):
                place[:] = part
        return self._memory


class _Pickler(pickle.Pickler):
    """Notes in which modules the classes and functions are that will be needed to unpickle."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.modules = {"centernet.data.worker"}

    def reducer_override(self, obj: Any) -> Any:
        owner = obj if isinstance(obj, (type, FunctionType, BuiltinFunctionType)) else type(obj)
        if isinstance(owner.__module__, str) and owner.__module__ not in ("builtins", "__main__", "__mp_main__"):
            self.modules.add(owner.__module__)
        return NotImplemented


def _opened(rest: SharedMemory, num_bytes: int, memory: SharedMemory, sizes: Sequence[int]) -> Parcel[Any]:
    return Parcel(pickle.loads(rest.buffer(num_bytes), buffers=[place.toreadonly() for place in _places(memory, sizes)]))


def _places(memory: SharedMemory, sizes: Sequence[int]) -> list[memoryview]:
    buffer = memory.buffer(sum(map(aligned, sizes)))
    starts = [sum(map(aligned, sizes[:number])) for number in range(len(sizes))]
    return [buffer[start : start + size] for start, size in zip(starts, sizes, strict=True)]
