"""Whether all processes still hold the same network."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from zlib import crc32

import nnabla as nn
import numpy as np

from centernet.engine.communicator import Communicator
from centernet.errors import TrainingError


def check_equal(parameters: Mapping[str, nn.Variable], communicator: Communicator, *, iteration: int) -> None:
    """Compare all ranks' parameters, running statistics among them, by a checksum each (collective).

    Args:
        iteration: steps trained so far, for the message.

    Raises:
        TrainingError: on all ranks, where one's differs from rank 0's: memory or a transfer is faulty, or a process did other things.
    """
    if communicator.size == 1:
        return
    own = [crc32(np.ascontiguousarray(parameter.d).data) for parameter in parameters.values()]
    everyone = communicator.gather((platform.node(), own))
    first = everyone[0][1]
    for position, name in enumerate(parameters):
        for rank, (host, sums) in enumerate(everyone):
            if sums[position] != first[position]:
                num_others = sum(one != other for one, other in zip(first, sums, strict=True)) - 1
                what = f"parameter '{name}' of rank {rank} on {host} is not that of rank 0, and {num_others} more are not"
                raise TrainingError(
                    f"after {iteration} steps {what}: "
                    "memory or the network is faulty there, or the processes run different programs; "
                    "--resume-from latest goes on from the last checkpoint, which rank 0 wrote"
                )
