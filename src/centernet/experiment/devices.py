"""Which GPU a process takes."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from centernet.engine.context import gpu_of_process
from centernet.experiment.processes import local_rank, num_started

LOG = logging.getLogger(__name__)


def gpu(gpus: Sequence[int] | None, *, index: int | None = None) -> int | None:
    """The one this process takes of those `--gpus` lists (None: all there are; -1: none); None: it takes none.

    Args:
        index: which of them; default: this process's number on its machine.

    Raises:
        DeviceError: there are more processes than GPUs listed.
    """
    return gpu_of_process(gpus, local_rank=local_rank() if index is None else index)


def take(gpus: Sequence[int] | None) -> int | None:
    """As `gpu`; but where several processes train together, those that `--gpus` lists become the visible ones, before CUDA looks.

    NNabla's communicator gives the i-th process of a machine the i-th visible GPU, whatever else it is told.
    """
    own = gpu(gpus)
    if own is None or gpus is None or num_started() == 1:
        return own
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible[number] if number < len(visible) else str(number) for number in gpus)
    return local_rank()


def tell_unused(gpus: Sequence[int] | None) -> None:
    """Say in a line where one process was given several GPUs: it trains on one, and more processes take the others."""
    if gpus is None or -1 in gpus or len(gpus) < 2 or num_started() > 1:
        return
    typed, count = ",".join(map(str, gpus)), len(gpus)
    LOG.info("--gpus %s: one process uses one GPU at most, GPU %d; --processes %d (or mpirun -n %d) uses all", typed, gpus[0], count, count)
