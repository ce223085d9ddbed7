"""A monitor that must not end the training: its first failure is said, and then it is left alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial

from centernet.engine.checkpoint import Progress
from centernet.engine.pictures import PictureSink
from centernet.engine.step import StepReport
from centernet.engine.trainer import Monitor
from centernet.errors import OutputError

LOG = logging.getLogger(__name__)


class Lenient:
    """Tells a monitor what it is told, until that fails; only what fails at the start, before any step, is an error."""

    def __init__(self, monitor: Monitor, *, name: str) -> None:
        """name: what to call the monitor in the warning."""
        self._monitor = monitor
        self._name = name
        self._has_failed = False

    def started(self, progress: Progress) -> None:
        """Told.

        Raises:
            OutputError: it cannot write. Other errors are the monitor's own.
        """
        try:
            self._monitor.started(progress)
        except OSError as error:
            raise OutputError(f"{self._name}: cannot be written: {error}") from error

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        """Told."""
        self._tell(partial(self._monitor.stepped, progress, report, learning_rate=learning_rate, num_images=num_images, wait=wait))

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        """Told."""
        self._tell(partial(self._monitor.epoch_ended, epoch, losses, learning_rate=learning_rate))

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        """Told."""
        self._tell(partial(self._monitor.validated, epoch, losses, metrics))

    def pictured(self, epoch: int, png: bytes) -> None:
        """Told, where it takes pictures."""
        if isinstance(self._monitor, PictureSink):
            self._tell(partial(self._monitor.pictured, epoch, png))

    def ended(self, text: str) -> None:
        """Told."""
        self._tell(partial(self._monitor.ended, text))

    def _tell(self, action: Callable[[], None]) -> None:
        if self._has_failed:
            return
        try:
            action()
        except Exception as error:  # whatever a disk, a server or a library of others comes up with
            self._has_failed = True
            LOG.warning("%s: %s; training goes on, and nothing more is written there", self._name, error or type(error).__name__)
