"""A training as rows of numbers: of a step now and then, of each epoch, of each measurement of held-out images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from centernet.engine.checkpoint import Progress
from centernet.engine.step import StepReport


class Rows(ABC):
    """A monitor that hands on a row of kind `step` every so many iterations, `epoch` after each, `validation` after each of those.

    Args:
        every: iterations between rows of kind `step`.
    """

    def __init__(self, *, every: int = 50) -> None:
        self._every = every
        self._images, self._waited, self._skipped = 0, 0.0, 0
        self._progress = self._last = Progress()

    @abstractmethod
    def write(self, kind: str, epoch: int, numbers: Mapping[str, float]) -> None:
        """A row. It belongs to iteration `self._progress.iteration`, after `self._progress.seconds` seconds of training."""

    def started(self, progress: Progress) -> None:
        """Go on from here."""
        self._progress = self._last = progress

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        """The numbers of this very step; only images/s and the share of time waiting for data are means since the last row.

        Where losses are scaled: the scale, and how many steps were skipped since the last row.
        """
        self._progress = progress
        self._images += num_images
        self._waited += wait
        self._skipped += report.is_skipped
        if progress.iteration % self._every:
            return
        seconds = max(progress.seconds - self._last.seconds, 1e-9)
        means = {"images_per_second": self._images / seconds, "waiting": self._waited / seconds}
        scaling = {} if report.loss_scale is None else {"loss_scale": report.loss_scale, "skipped": self._skipped}
        self._images, self._waited, self._skipped, self._last = 0, 0.0, 0, progress
        numbers = {"learning_rate": learning_rate, **means, "gradient_norm": report.gradient_norm}
        self.write("step", progress.epoch, {**numbers, "loss": report.total, **report.losses, **scaling})

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        """The means."""
        terms = {name: value for name, value in losses.items() if name != "total"}
        self.write("epoch", epoch, {"learning_rate": learning_rate, **({"loss": losses["total"]} if losses else {}), **terms})

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        """Losses under the same names as in training, every metric under its own."""
        terms = {("loss" if name == "total" else name): value for name, value in losses.items()}
        self.write("validation", epoch, {**terms, **metrics})
