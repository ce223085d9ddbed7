"""Which GPU a process takes."""

from __future__ import annotations

import logging
import os

import pytest

from centernet.errors import DeviceError
from centernet.experiment import devices


def test_a_process_takes_the_gpu_of_its_number_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.gpu(None) == 0
    assert devices.gpu([3, 1]) == 3
    assert devices.gpu([-1]) is None
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "1")
    assert devices.gpu(None) == 1
    assert devices.gpu([3, 1]) == 1
    assert devices.gpu([3, 1], index=0) == 3
    with pytest.raises(DeviceError, match="list one for each process"):
        devices.gpu([3])


@pytest.mark.parametrize(("visible", "gpu"), [("0,1", 1), ("4,7", 1), ("", 1), (None, 1), ("5", 0), ("GPU-8932f937-d72c", 0), ("6,", 0)])
def test_gpus_are_counted_within_those_that_are_visible(monkeypatch: pytest.MonkeyPatch, visible: str | None, gpu: int) -> None:
    """Where a launcher gives each process one GPU of its own, that is number 0 to it."""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.gpu(None) == gpu
    assert devices.gpu([3, 1]) == 1


@pytest.mark.parametrize(("visible", "seen"), [("", "3,1"), ("4,5,6,7", "7,5")])
def test_processes_that_train_together_see_the_gpus_they_may_use(monkeypatch: pytest.MonkeyPatch, visible: str, seen: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.take([3, 1]) == 3  # alone
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "1")
    assert devices.take([-1]) is None
    assert devices.take(None) == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
    assert devices.take([3, 1]) == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


def test_gpus_that_one_process_leaves_idle_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    monkeypatch.setattr(devices, "LOG", logging.Logger("test", logging.INFO))
    devices.LOG.addHandler(handler)
    for gpus in (None, [-1], [1], [0, -1]):
        devices.tell_unused(gpus)
    assert lines == []
    devices.tell_unused([0, 1])
    assert lines == ["--gpus 0,1: one process uses one GPU at most, GPU 0; --processes 2 (or mpirun -n 2) uses all"]
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    devices.tell_unused([0, 1])
    assert len(lines) == 1
