"""Images kept in memory that all workers and processes of a machine share."""

from __future__ import annotations

import logging
import os
import struct
import zlib

import numpy as np

from centernet.data.image_store import Filling, Kept, Origin
from centernet.data.memory_file import FIRST, Flag, MemoryFile
from centernet.data.shared_memory import aligned
from centernet.errors import ConfigError

LOG = logging.getLogger(__name__)
_RECORD = struct.Struct("=IqqqII")  # checksum of the path, bytes and time of the file, bytes kept, height, width
_NUM_IMAGES, _USED, _BROKEN = range(3)  # words after FIRST
_TABLE = FIRST + 64


def table_bytes(num_images: int) -> int:
    """What the store takes before it holds an image."""
    return aligned(_TABLE + 8 * num_images)


def record_bytes(num_bytes: int) -> int:
    """What an image of so many bytes takes."""
    return aligned(_RECORD.size + num_bytes)


class RamStore:
    """First come, first kept, until the memory is full; nothing is thrown out, since every epoch wants every image once.

    Space is handed out under a lock, filled without one, and found only when its place is in the table: the last thing
    written, eight bytes at once. So a reader needs no lock, and a process killed in between loses only the space. Meanwhile the
    table has the process that fills it, as a negative number, which keeps others off while it lives. (Processors that NNabla has
    Linux wheels for, x86-64, let nobody see the place before the bytes.)
    """

    def __init__(self, memory: MemoryFile) -> None:
        """Use memory made by `create`, in this process or another."""
        self.memory = memory
        self._head = memory.array(np.int64, count=2, start=FIRST)
        self._places = memory.array(np.int64, count=int(self._head[_NUM_IMAGES]), start=_TABLE)
        self._is_broken = Flag(memory, FIRST + 8 * _BROKEN)

    @classmethod
    def create(cls, num_images: int, budget: int) -> RamStore:
        """An empty store.

        Args:
            num_images: keys are 0 ... num_images - 1.
            budget: bytes, all in all; larger than `table_bytes(num_images)`.

        Raises:
            ConfigError: the system does not hand out so much.
        """
        try:
            memory = MemoryFile.create(budget)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"data.cache.budget: {budget} bytes of shared memory cannot be had: {error}; give less") from error
        memory.array(np.int64, count=2, start=FIRST)[:] = num_images, table_bytes(num_images)
        return cls(memory)

    @classmethod
    def attach(cls, handle: str) -> RamStore:
        """The store of another process; ConfigError where it cannot be opened."""
        return cls(MemoryFile.attach(handle))

    def handle(self) -> str:
        """What `attach` takes."""
        return self.memory.handle()

    def get(self, key: int, origin: Origin) -> Kept | None:
        """See `Store`; the bytes are the shared ones."""
        place = int(self._places[key])
        if place <= 0:
            return None
        path, num_bytes, modified, length, height, width = _RECORD.unpack_from(self.memory.view, place)
        if (path, num_bytes, modified) != (zlib.crc32(origin.path), origin.num_bytes, origin.modified):
            return None
        start = place + _RECORD.size
        return Kept(self.memory.view[start : start + length], (height, width))

    def put(self, key: int, origin: Origin, image: Kept) -> bool:
        """See `Store`."""
        space = record_bytes(len(image.data))
        if self._is_broken or self._head[_USED] + space > self.memory.num_bytes:
            return False
        place = self._reserved(key, origin, space)
        if place is None:
            return False
        record = _RECORD.pack(zlib.crc32(origin.path), origin.num_bytes, origin.modified, len(image.data), *image.size)
        is_written = False
        try:
            is_written = self.memory.write([record, image.data], place)
        except OSError as error:
            if self._is_broken.set():
                LOG.warning("data.cache: no more images are kept in memory: %s", error)
        finally:
            self._places[key] = place if is_written else 0
        return is_written

    def filling(self) -> Filling:
        """See `Store`; what the table takes counts."""
        return Filling(int(np.count_nonzero(self._places > 0)), int(self._head[_USED]), self.memory.num_bytes)

    def _reserved(self, key: int, origin: Origin, space: int) -> int | None:
        """The start of `space` bytes for this image alone; None where there are none, or another thread or process was faster."""
        with self.memory.locked() as is_locked:
            place = int(self._head[_USED])
            if not is_locked or place + space > self.memory.num_bytes or self._is_taken(key, origin):
                return None
            self._head[_USED] = place + space
            self._places[key] = -os.getpid()
            return place

    def _is_taken(self, key: int, origin: Origin) -> bool:
        place = int(self._places[key])
        return _is_alive(-place) if place < 0 else self.get(key, origin) is not None

    def __reduce__(self) -> tuple[type[RamStore], tuple[MemoryFile]]:
        return RamStore, (self.memory,)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
