"""Which GPU a process takes."""

from __future__ import annotations

from collections.abc import Sequence

from centernet.engine.context import gpu_of_process
from centernet.experiment.processes import local_rank


def gpu(gpus: Sequence[int] | None, *, index: int | None = None) -> int | None:
    """The one this process takes of those `--gpus` lists (None: all there are; -1: none); None: it takes none.

    Args:
        index: which of them; default: this process's number on its machine.

    Raises:
        DeviceError: there are more processes than GPUs listed.
    """
    return gpu_of_process(gpus, local_rank=local_rank() if index is None else index)
