from __future__ import annotations

import gc
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from centernet.data.memory_file import FIRST, MemoryFile
from centernet.errors import ConfigError


def test_what_one_writes_all_who_attached_read() -> None:
    memory = MemoryFile.create(FIRST + 800)
    other, third = MemoryFile.attach(memory.handle()), pickle.loads(pickle.dumps(memory))
    memory.array(np.int64, count=100, start=FIRST)[:] = np.arange(100)
    for copy in (other, third):
        np.testing.assert_array_equal(copy.array(np.int64, count=100, start=FIRST), np.arange(100))
        assert copy.num_bytes == FIRST + 800
    assert third.write([b"ab", memoryview(b"cd")], FIRST)
    assert bytes(memory.view[FIRST : FIRST + 4]) == b"abcd"


def test_only_what_is_written_takes_memory() -> None:
    memory = MemoryFile.create(1 << 40)
    memory.write([bytes(4096)], 1 << 39)
    assert os.fstat(memory.descriptor).st_blocks * 512 <= 4 * 4096


def test_arrays_outlive_the_object() -> None:
    array = MemoryFile.create(FIRST + 8).array(np.int64, count=1, start=FIRST)
    gc.collect()
    array[0] = 5
    assert array[0] == 5


def test_nobody_can_cut_it_short_or_write_through_the_view() -> None:
    memory = MemoryFile.create(FIRST + 8)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.descriptor, 0)
    with pytest.raises(TypeError):
        memory.view[0] = 1


def test_the_descriptor_is_closed_with_the_object() -> None:
    memory = MemoryFile.create(FIRST + 8)
    handle, link = memory.handle(), Path(f"/proc/self/fd/{memory.descriptor}")
    assert link.is_symlink()
    del memory
    assert not link.is_symlink()
    with pytest.raises(ConfigError, match="cannot be opened: No such file or directory; its process must be running"):
        MemoryFile.attach(handle)


def test_a_number_that_means_another_file_by_now_is_noticed_without_opening_it() -> None:
    token = "0" * 32
    reader, writer = os.pipe()
    try:
        for handle in (f"/proc/self/fd/{reader}#{token}", f"/proc/{os.getpid()}/fd/{reader}"):
            with pytest.raises(ConfigError, match="is no handle"):
                MemoryFile.attach(handle)
        with pytest.raises(ConfigError, match="is gone"):
            MemoryFile.attach(f"/proc/{os.getpid()}/fd/{reader}#{token}")
    finally:
        os.close(reader)
        os.close(writer)
    other = MemoryFile.create(FIRST + 8)
    with pytest.raises(ConfigError, match="is gone"):
        MemoryFile.attach(other.handle().partition("#")[0] + "#" + token)
