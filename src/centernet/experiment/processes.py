"""The processes that were started together, for commands that only share work among them."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass

from centernet.engine import communicator as communicators
from centernet.engine import launcher
from centernet.engine.communicator import Communicator
from centernet.engine.endings import ending_all


@dataclass(frozen=True)
class Processes:
    """This process among its siblings."""

    communicator: Communicator

    @property
    def rank(self) -> int:
        return self.communicator.rank

    @property
    def threads_each(self) -> int | None:
        """Cores per process where several share the machine; None: all."""
        if self.communicator.size == 1:
            return None
        return max(1, (os.cpu_count() or 1) // self.communicator.size)

    def ending_all(self) -> AbstractContextManager[None]:
        """An error of one process ends all of them."""
        return ending_all(self.communicator)


def join() -> Processes:
    """Join the processes started together with this one; CommunicationError where they cannot talk."""
    return Processes(communicators.create())


def num_started() -> int:
    """How many processes mpirun, or another launcher, started together; 1 without one."""
    return launcher.num_started()


def local_rank() -> int:
    """Which of this machine's processes this one is; 0 where it was started alone."""
    return launcher.local_rank()
