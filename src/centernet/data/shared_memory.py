"""Memory that several processes see and that has no name, so that nothing is left of it when they are gone, however they went."""

from __future__ import annotations

import errno
import math
import mmap
import os
import weakref
from collections.abc import Mapping
from multiprocessing import reduction
from typing import Any, Protocol

import numpy as np

from centernet.data import memory
from centernet.data.pipeline import ArraySpec
from centernet.structures import Array

ALIGNMENT = 64  # bytes; a cache line


class Memory(Protocol):
    """Where arrays are put."""

    def grow(self, num_bytes: int) -> None:
        """Make it at least so large; OSError where there is not as much."""

    def buffer(self, num_bytes: int) -> memoryview:
        """The first bytes."""


class SharedMemory:
    """Bytes, zeros at first. Sent to a process that is being started, it is the same bytes there."""

    _descriptor: int
    _map: mmap.mmap | None = None

    def __init__(self, num_bytes: int) -> None:
        """Reserve the memory; OSError where there is not as much."""
        self._own(os.memfd_create("centernet"))
        self.num_bytes = 0
        self.grow(num_bytes)

    def grow(self, num_bytes: int) -> None:
        """Make it at least so large, keeping what is there; other processes see that in `buffer`."""
        if num_bytes > self.num_bytes:
            free = memory.available()
            if free is not None and num_bytes - self.num_bytes > free:  # the system would give it all, and then kill processes
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            os.posix_fallocate(self._descriptor, 0, num_bytes)  # an error now, instead of a SIGBUS at the first use
            self.num_bytes = num_bytes

    def buffer(self, num_bytes: int) -> memoryview:
        """The first bytes, which must have been reserved by some process; it stays valid whatever becomes of this object."""
        if not num_bytes:
            return memoryview(bytearray())  # nothing cannot be mapped
        if self._map is None or len(self._map) < num_bytes:
            self._map = mmap.mmap(self._descriptor, num_bytes)
        return memoryview(self._map)[:num_bytes]

    def __getstate__(self) -> dict[str, Any]:
        return {"descriptor": reduction.DupFd(self._descriptor), "num_bytes": self.num_bytes}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        descriptor = state["descriptor"].detach()
        os.set_inheritable(descriptor, False)
        self._own(descriptor)
        self.num_bytes = state["num_bytes"]

    def _own(self, descriptor: int) -> None:
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)


class OwnMemory:
    """The same for one process alone, which a limit on the size of files does not touch."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def grow(self, num_bytes: int) -> None:
        """Make it at least so large, with nothing but zeros in it."""
        if num_bytes > len(self._bytes):
            self._bytes = bytearray(num_bytes)

    def buffer(self, num_bytes: int) -> memoryview:
        """The first bytes; it stays valid whatever becomes of this object."""
        return memoryview(self._bytes)[:num_bytes]


def aligned(num_bytes: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-num_bytes // ALIGNMENT) * ALIGNMENT


def batch_bytes(specs: Mapping[str, ArraySpec], count: int) -> int:
    """What the arrays of `count` samples take."""
    return sum(aligned(count * math.prod(shape) * dtype.itemsize) for shape, dtype in specs.values())


def batch_arrays(shared: Memory, specs: Mapping[str, ArraySpec], count: int) -> dict[str, Array]:
    """An array (count, ...) in the shared memory for each name; the same arguments give the same places in every process."""
    buffer = shared.buffer(batch_bytes(specs, count))
    arrays: dict[str, Array] = {}
    start = 0
    for name, (shape, dtype) in specs.items():
        arrays[name] = np.ndarray((count, *shape), dtype, buffer, start)
        start += aligned(arrays[name].nbytes)
    return arrays
