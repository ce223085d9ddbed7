"""Whether the processes that train together have been given places that go together: all a GPU or none, and the one NCCL takes."""

from __future__ import annotations

from collections.abc import Sequence

from centernet.errors import CommunicationError


def check_kinds(kinds: Sequence[tuple[bool, str]]) -> None:
    """CommunicationError where some ranks have a GPU, and others do not; `kinds`: of each rank, and its machine."""
    lonely = [f"rank {rank} on {host}" for rank, (has_gpu, host) in enumerate(kinds) if not has_gpu]
    if 0 < len(lonely) < len(kinds):
        raise CommunicationError(
            f"some of the {len(kinds)} processes have a GPU and some have none: {', '.join(lonely)}; start as many on each machine "
            "as it has GPUs (and look at CUDA_VISIBLE_DEVICES and --gpus), or give all --extension_module cpu"
        )


def check_devices(places: Sequence[tuple[str, str]]) -> None:
    """CommunicationError where NNabla's communicator would work on another GPU than a rank: it counts the ranks of a machine.

    Args:
        places: each rank's machine and GPU, as NNabla numbers them.
    """
    hosts = [host for host, _ in places]
    for number, (host, device) in enumerate(places):
        expected = hosts[:number].count(host)
        if device != str(expected):
            raise CommunicationError(
                f"rank {number} is to train on GPU {device} of {host}, but NNabla's communicator takes number {expected} of those in "
                "CUDA_VISIBLE_DEVICES; choose GPUs with that variable, for all processes of a machine alike, and leave --gpus out "
                "(with Slurm: --gpus-per-node and --gpu-bind=none)"
            )
