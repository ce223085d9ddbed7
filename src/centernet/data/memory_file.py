"""Memory that any process of the same user can open by a text, and that is gone with the last process that has it open."""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import secrets
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import numpy.typing as npt

from centernet.data.brief_lock import briefly_locked
from centernet.errors import ConfigError
from centernet.structures import Array

FIRST = 64  # bytes before it are this module's own
_TOKEN_BYTES = 16
_NAME = "centernet-images"
_HANDLE = re.compile(r"(/proc/\d+/fd/\d+)#([0-9a-f]{32})")


class MemoryFile:
    """`num_bytes` of zeros at first, the same for everyone; only what was written to takes memory.

    There is no name in /dev/shm or elsewhere, so nothing is left however the processes end. Pickles as its handle: one pickle
    serves any number of processes, started in any way, while this one lives.

    view: all bytes, to read.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor of memory made by `create`."""
        weakref.finalize(self, os.close, descriptor)
        self.descriptor = descriptor
        self.num_bytes = os.fstat(descriptor).st_size
        self._map = mmap.mmap(descriptor, self.num_bytes)
        self.view = memoryview(self._map).toreadonly()

    @classmethod
    def create(cls, num_bytes: int) -> MemoryFile:
        """New memory.

        Args:
            num_bytes: > FIRST; may be more than the machine has, since it counts when it is written to.

        Raises:
            OSError: the system does not hand it out.
        """
        descriptor = os.memfd_create(_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, num_bytes)
            os.pwrite(descriptor, secrets.token_bytes(_TOKEN_BYTES), 0)
            # Whoever cut it short would end all others by SIGBUS.
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        except OSError:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @classmethod
    def attach(cls, handle: str) -> MemoryFile:
        """The memory of another process (or of this one).

        Args:
            handle: what its `handle()` returned.

        Raises:
            ConfigError: it is gone, or this process may not open it.
        """
        found = _HANDLE.fullmatch(handle)
        if found is None:
            raise ConfigError(f"'{handle}' is no handle of shared memory; expected what MemoryFile.handle() returns")
        path, token = found.groups()
        try:
            # Looked at before it is opened: the number may mean a terminal by now, or a pipe that opening would wait for.
            is_ours = os.readlink(path).startswith(f"/memfd:{_NAME}")
            memory = cls(os.open(path, os.O_RDWR | os.O_CLOEXEC)) if is_ours else None
        except OSError as error:
            raise ConfigError(
                f"the shared memory {path} cannot be opened: {error.strerror or error}; its process must be running, as the same user "
                "and in the same container (PID namespace)"
            ) from error
        if memory is None or bytes(memory.view[:_TOKEN_BYTES]).hex() != token:
            raise ConfigError(f"the shared memory {path} is gone: its process has closed it")
        return memory

    def handle(self) -> str:
        """What `attach` takes, in any process of this user on this machine while this object lives."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}#{bytes(self.view[:_TOKEN_BYTES]).hex()}"

    def array(self, dtype: npt.DTypeLike, *, count: int, start: int) -> Array:
        """(count,) of the memory from byte `start` on, to read and write; valid however long this object lives."""
        return np.frombuffer(self._map, dtype, count, start)

    def write(self, parts: list[bytes | memoryview], start: int) -> bool:
        """Put bytes one after the other from byte `start` on; False where not all of them could be, OSError where the system is short.

        A store into mapped memory would end the process there instead.
        """
        return os.pwritev(self.descriptor, parts, start) == sum(len(part) for part in parts)

    def locked(self) -> AbstractContextManager[bool]:
        """See `briefly_locked`."""
        return briefly_locked(f"/proc/self/fd/{self.descriptor}")

    def __reduce__(self) -> tuple[Callable[[str], MemoryFile], tuple[str]]:
        return MemoryFile.attach, (self.handle(),)


class Flag:
    """Something that happens once, whichever of the processes that share a memory it happens to."""

    def __init__(self, memory: MemoryFile, place: int) -> None:
        """Use the eight bytes from `place` on, zeros at first and a multiple of 8."""
        self._memory, self._word, self._place = memory, memory.array(np.int64, count=1, start=place), place

    @classmethod
    def create(cls) -> Flag:
        """A flag in a memory of its own; ConfigError where the system does not hand that out."""
        try:
            return cls(MemoryFile.create(FIRST + 8), FIRST)
        except OSError as error:
            raise ConfigError(f"eight bytes of shared memory cannot be had: {error}") from error

    @classmethod
    def attach(cls, handle: str) -> Flag:
        """The flag of another process that `create` made; ConfigError where it is gone."""
        return cls(MemoryFile.attach(handle), FIRST)

    def handle(self) -> str:
        """What `attach` takes."""
        return self._memory.handle()

    def __bool__(self) -> bool:
        return bool(self._word[0])

    def set(self) -> bool:
        """Whether this is the first time."""
        with self._memory.locked():  # where it cannot be had, two may be the first
            is_first = not self
            self._word[0] = 1
        return is_first

    def __reduce__(self) -> tuple[type[Flag], tuple[MemoryFile, int]]:
        return Flag, (self._memory, self._place)
