"""Peak memory, of this process and of a GPU whose runtime is a stand-in."""

from __future__ import annotations

import ctypes
import io
from typing import Any

import numpy as np
import pytest

from centernet.engine import memory
from centernet.engine.reports import MemoryReport


class Runtime:
    """CUDA's: 10 GB, of which 4 are free; code 0 is success."""

    code = 0

    def cudaMemGetInfo(self, free: Any, total: Any) -> int:
        free._obj.value, total._obj.value = 4_000_000_000, 10_000_000_000
        return self.code


def test_the_peak_is_at_least_what_is_taken_and_never_falls() -> None:
    before, taken = memory.host_peak(), np.ones(5_000_000)
    assert memory.host_peak() >= before
    assert memory.host_peak() > taken.nbytes


def test_without_cudas_runtime_nothing_is_known_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centernet.engine.memory.RUNTIME", "libcudart.so.of.nobody")
    assert memory.gpu_memory() is None


def test_what_is_not_free_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Runtime())
    assert memory.gpu_memory() == (6_000_000_000, 10_000_000_000)
    monkeypatch.setattr(Runtime, "code", 2)
    assert memory.gpu_memory() is None


def test_a_line_is_said_when_memory_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = [500_000_000]
    monkeypatch.setattr(memory, "host_peak", lambda: peaks[-1])
    monkeypatch.setattr(memory, "gpu_memory", lambda: (6_000_000_000, 10_000_000_000))
    for is_gpu, rest in ((True, ", GPU 6.00 of 10.00 GB"), (False, "")):
        file = io.StringIO()
        report = MemoryReport(is_gpu=is_gpu, file=file)
        for peak in (500_000_000, 510_000_000, 9_000_000_000):
            peaks.append(peak)
            report.epoch_ended(0, {}, learning_rate=1e-3)
        assert file.getvalue() == f"peak memory: process 0.50 GB{rest}\npeak memory: process 9.00 GB{rest}\n"
