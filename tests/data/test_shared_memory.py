from __future__ import annotations

import gc
import multiprocessing
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from centernet.data import memory
from centernet.data.shared_memory import SharedMemory, batch_arrays, batch_bytes

SPECS = {"image": ((3, 2), np.dtype(np.float32)), "count": ((), np.dtype(np.int32)), "none": ((0, 4), np.dtype(np.float32))}


def test_arrays_of_a_batch_are_zeros_side_by_side_without_overlap() -> None:
    shared = SharedMemory(batch_bytes(SPECS, 5))
    arrays = batch_arrays(shared, SPECS, 5)
    assert {name: (array.shape, array.dtype) for name, array in arrays.items()} == {
        "image": ((5, 3, 2), np.float32),
        "count": ((5,), np.int32),
        "none": ((5, 0, 4), np.float32),
    }
    assert not any(array.any() for array in arrays.values())
    assert all(array.flags.c_contiguous and array.ctypes.data % 64 == 0 for array in arrays.values())
    arrays["image"][...] = 7
    assert not arrays["count"].any()
    assert (batch_arrays(shared, SPECS, 5)["image"] == 7).all()


def test_growing_keeps_what_is_there() -> None:
    shared = SharedMemory(64)
    shared.buffer(64)[:] = b"x" * 64
    shared.grow(1 << 20)
    assert bytes(shared.buffer(1 << 20)[:65]) == b"x" * 64 + b"\0"
    shared.grow(10)
    assert shared.num_bytes == 1 << 20


def test_it_has_no_name_and_its_descriptor_is_closed_but_what_was_mapped_stays() -> None:
    before = len(os.listdir("/proc/self/fd"))
    shared = SharedMemory(4096)
    buffer = shared.buffer(4096)
    assert "memfd:centernet (deleted)" in Path("/proc/self/maps").read_text()
    del shared
    gc.collect()
    buffer[:3] = b"abc"
    del buffer
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_more_memory_than_is_free_is_an_error_before_the_system_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 10_000)
    shared = SharedMemory(9_000)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        shared.grow(20_000)
    assert shared.num_bytes == 9_000


@pytest.mark.parametrize("start_method", ["forkserver", "spawn", "fork"])
def test_another_process_sees_the_same_bytes_also_after_growing(numbered: ModuleType, start_method: str) -> None:
    context = multiprocessing.get_context(start_method)
    shared = SharedMemory(10)
    ours, theirs = context.Pipe()
    process = context.Process(target=numbered.fill, args=(shared, theirs))
    process.start()
    ours.recv()
    shared.grow(5000)
    ours.send(5000)
    process.join(240)
    assert bytes(shared.buffer(5000)) == b"z" * 5000
    assert process.exitcode == 0
    for end in (ours, theirs):
        end.close()
    process.close()
