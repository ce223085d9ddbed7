"""What mpirun, or another launcher, tells each of the processes that it starts; needs no communication."""

from __future__ import annotations

import os

# (size, rank, rank on this machine): Open MPI, MPICH, Slurm.
LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID"),
)


def num_started() -> int:
    """How many processes the launcher started together; 1 without one."""
    return _launched()[0]


def rank() -> int:
    """Which of all processes this one is; 0 without a launcher."""
    return _launched()[1]


def local_rank() -> int:
    """Which of this machine's processes this one is; 0 without a launcher."""
    return _launched()[2]


def _launched() -> tuple[int, int, int]:
    for size, *places in LAUNCHERS:
        text = os.environ.get(size, "")
        if text.isdigit() and int(text) > 1:
            number, local = (int(os.environ.get(place, "0")) for place in places)
            return int(text), number, local
    return 1, 0, 0
