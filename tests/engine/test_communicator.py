from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.engine.communicator import Single, create
from centernet.engine.endings import ending_all, is_out_of_memory
from centernet.engine.launcher import local_rank
from centernet.engine.places import check_devices, check_kinds
from centernet.errors import CommunicationError, DataError


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("alone")
def test_a_process_started_alone_is_alone_on_any_device() -> None:
    assert isinstance(create(), Single)
    assert isinstance(create(nn.Context(["cudnn:float"], "CpuCachedArray", "0")), Single)
    assert local_rank() == 0


@pytest.mark.usefixtures("alone")
def test_mpirun_with_one_process_needs_no_mpi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    assert isinstance(create(), Single)


def test_alone_everything_is_what_it_was() -> None:
    single = Single()
    array = np.arange(3.0)
    single.sum_in_place(array)
    assert array.tolist() == [0, 1, 2]
    assert single.sum([1, 2]).tolist() == [1, 2]
    assert single.gather("x") == ["x"]
    assert single.broadcast("x") == "x"
    assert single.any(True)
    assert not single.any(False)


def test_alone_an_error_is_just_raised() -> None:
    with pytest.raises(DataError, match="broken"), ending_all(Single()):
        raise DataError("broken")


def test_processes_with_gpus_and_no_nccl_stop(mpirun: Callable[..., Any]) -> None:
    ended = mpirun(2, "no_nccl.py")
    assert ended.returncode != 0
    assert "CommunicationError: 2 processes were started together, but NNabla's multi-process communicator cannot be had" in ended.stderr
    assert "check NCCL, or train on one GPU without mpirun" in ended.stderr


def test_processes_with_and_without_a_gpu_do_not_train_together() -> None:
    check_kinds([(True, "a"), (True, "b")])
    check_kinds([(False, "a"), (False, "b")])
    with pytest.raises(CommunicationError, match="some of the 3 processes have a GPU and some have none: rank 1 on a, rank 2 on b;"):
        check_kinds([(True, "a"), (False, "a"), (False, "b")])


def test_a_gpu_that_nnablas_communicator_would_not_take_is_refused_on_all_ranks() -> None:
    check_devices([("a", "0"), ("a", "1"), ("b", "0"), ("b", "1")])
    with pytest.raises(CommunicationError, match="rank 1 is to train on GPU 3 of a, but NNabla's communicator takes number 1"):
        check_devices([("a", "0"), ("a", "3"), ("b", "0")])


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError("Unable to allocate 8.00 TiB"), True),
        (RuntimeError("memory error in alloc\nmemory.cpp:39\nFailed `this->alloc_impl()`: N4nbla9CpuMemoryE allocation failed.\n"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("value error in query"), False),
        (OSError("out of memory"), False),
    ],
)
def test_what_is_out_of_memory_is_recognised(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) == is_memory
