"""Many steps: epochs, validation, checkpoints, monitors, and an orderly end when a signal asks for one."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from types import FrameType
from typing import Any, Protocol

from centernet.engine.agreement import check_equal
from centernet.engine.checkpoint import Checkpointer, Progress
from centernet.engine.communicator import Communicator
from centernet.engine.early_stopping import EarlyStoppingConfig, explain, measured
from centernet.engine.endings import Interrupted, ending_all
from centernet.engine.step import NonFiniteError, StepReport, TrainStep
from centernet.errors import TrainingError
from centernet.structures import Array

BEST_BY = "AP"
# SIGUSR1, because mpirun hands that one on to its processes and leaves them the time to react.
WRITING = 600.0  # seconds that a slow disk may need for a checkpoint
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Batch(Protocol):
    """This rank's part of a global batch: arrays by name, and what to call its images in messages."""

    @property
    def arrays(self) -> Mapping[str, Array]:
        """Each (B, ...)."""

    @property
    def names(self) -> Sequence[str]:
        """B names."""


class Loader(Protocol):
    """Batches of one epoch in a reproducible order; every rank has the same number of them."""

    @property
    def batches_per_epoch(self) -> int:
        """Global batches in an epoch."""

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Any]:
        """The batches of an epoch from `start_batch` on."""


class Monitor(Protocol):
    """Who is told how training goes; called on rank 0 only."""

    def started(self, progress: Progress) -> None:
        """Training begins or resumes."""

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        """One step was done, on `num_images` images over all ranks, after `wait` seconds without data."""

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        """Means over the epoch, `total` among them."""

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        """Either mapping may be empty."""

    def ended(self, text: str) -> None:
        """Training ended, and how."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """How training ended. signal: the one that ended it, or None."""

    progress: Progress
    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """What a shell expects: 128 + the signal's number, or 0."""
        return 128 + self.signal if self.signal else 0


@dataclass(kw_only=True)
class Trainer:
    """Trains for `num_epochs` epochs.

    learning_rate: (epoch, batch) -> rate. validation_losses: () -> mean losses of held-out batches, `total` among
    them; metrics: (epoch) -> held-out metrics, `AP` decides which model is the best. Both are collective, may raise Interrupted
    and run every `validate_every` epochs, epoch 0 counting, and after the last. checkpointer, monitors: only rank 0's are used.
    save_every: epochs between checkpoints. save_seconds: time between those written inside an epoch, for the processes
    that get no chance to write one at the end: mpirun kills its processes at once when it is told to stop. data_seconds: how
    long the loader may be at one image before it says so itself. check_every: steps between comparisons of the ranks' parameters.
    early_stopping: by `AP`; None: never.
    """

    step: TrainStep
    loader: Loader
    learning_rate: Callable[[int, int], float]
    num_epochs: int
    communicator: Communicator
    checkpointer: Checkpointer | None = None
    monitors: Sequence[Monitor] = ()
    validation_losses: Callable[[], Mapping[str, float]] | None = None
    metrics: Callable[[int], Mapping[str, Any]] | None = None
    validate_every: int = 5
    save_every: int = 5
    save_seconds: float = 600.0
    data_seconds: float = 120.0
    check_every: int = 1000
    early_stopping: EarlyStoppingConfig | None = None
    _stop: list[int] = field(default_factory=list, init=False)
    _saved: float = field(default=0.0, init=False)
    _written: Progress | None = field(default=None, init=False)

    def fit(self, start: Progress | None = None) -> FitResult:
        """Train from `start` to the end, or until a signal of STOPS: then the step is finished and a checkpoint written.

        A measurement of held-out images is given up instead, and made once more when training goes on.

        Raises:
            TrainingError: a loss is not finite; the text names the images of its batch.
        """
        progress = start or Progress()
        self._saved = perf_counter()
        together = self.communicator
        with ending_all(together), together.doing("training"), _signals(self._stop), together.stopping_at(self._stop):
            for monitor in self._listeners:
                monitor.started(progress)
            while progress.epoch < self.num_epochs and not self._is_exhausted(progress):
                progress = self._train_epoch(progress)
                if not progress.batch:
                    with self.communicator.doing("ending an epoch", extra=WRITING):  # curves and tables, perhaps on a slow disk
                        progress = self._finish_epoch(progress)
                number = self._stopped()
                if number is not None:
                    self._save(progress)
                    return self._end(progress, number)
            return self._end(progress, None)

    def _end(self, progress: Progress, number: int | None) -> FitResult:
        self.communicator.barrier()  # nobody may look for the last checkpoint before it is there
        text = f"stopped by {signal.Signals(number).name}; checkpoint written" if number else "training is complete"
        if not number and self.early_stopping is not None and progress.epoch < self.num_epochs:
            text = explain(self.early_stopping, progress)
        for monitor in self._listeners:
            monitor.ended(text)
        return FitResult(progress=progress, signal=number)

    def _train_epoch(self, progress: Progress) -> Progress:
        """Steps until the epoch ends (then `batch` is 0 in the next epoch) or a signal comes."""
        epoch, length = progress.epoch, self.loader.batches_per_epoch
        with closing(self._timed(self.loader.epoch(epoch, progress.batch))) as batches:
            for batch, wait in batches:
                started = perf_counter()
                rate = self.learning_rate(epoch, progress.batch)
                report = self._run(batch, rate)
                self.communicator.beat()
                progress = _advanced(progress, report, seconds=perf_counter() - started + wait)
                num_images = len(batch.names) * self.communicator.size
                for monitor in self._listeners:
                    monitor.stepped(progress, report, learning_rate=rate, num_images=num_images, wait=wait)
                if progress.iteration % self.check_every == 0:
                    check_equal(self.step.compared(), self.communicator, iteration=progress.iteration)
                if progress.batch >= length:
                    break
                if self.communicator.any(bool(self._stop)):
                    return progress
                if perf_counter() - self._saved > self.save_seconds:
                    self._save(progress)
        if progress.batch < length:
            raise TrainingError(f"epoch {epoch} ended after {progress.batch} batches, expected {length}")
        return replace(progress, epoch=epoch + 1, batch=0)

    def _timed(self, batches: Iterator[Any]) -> Generator[tuple[Any, float], None, None]:
        """Each batch with the seconds it was waited for."""
        try:
            while True:
                started = perf_counter()
                with self.communicator.doing("waiting for data", extra=self.data_seconds):
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch, perf_counter() - started
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()

    def _run(self, batch: Any, rate: float) -> StepReport:
        try:
            return self.step.run(batch.arrays, rate)
        except NonFiniteError as error:
            parts = self.communicator.gather((error.is_here, list(batch.names)))
            anywhere = not any(is_here for is_here, _ in parts)
            names = [name for is_here, part in parts for name in part if is_here or anywhere]
            raise TrainingError(f"{error}: {', '.join(names)}") from error

    def _finish_epoch(self, progress: Progress) -> Progress:
        """Means, validation, best model, checkpoint; back at the end of the epoch's steps where a signal has ended the validation."""
        epoch, trained = progress.epoch - 1, progress
        means = {name: total / progress.steps for name, total in progress.sums.items()}
        rate = self.learning_rate(epoch, self.loader.batches_per_epoch - 1)
        for monitor in self._listeners:
            monitor.epoch_ended(epoch, means, learning_rate=rate)
        progress = replace(progress, sums={}, steps=0)
        if self._is_due(epoch, self.validate_every):
            try:
                with self.step.averaged():
                    progress = self._validate(epoch, progress)
            except Interrupted:
                return replace(trained, epoch=epoch, batch=self.loader.batches_per_epoch)
        if self._is_due(epoch, self.save_every) or self._is_exhausted(progress):
            self._save(progress)
        return progress

    def _validate(self, epoch: int, progress: Progress) -> Progress:
        with self.communicator.doing("measuring held-out images"):
            losses = self.validation_losses() if self.validation_losses else {}
            found = self.metrics(epoch) if self.metrics else {}
        metrics = {name: float(value) for name, value in found.items() if isinstance(value, (int, float))}
        if not losses and not metrics:
            return progress
        for monitor in self._listeners:
            monitor.validated(epoch, losses, metrics)
        value = metrics.get(BEST_BY, math.nan)
        if self.early_stopping is not None:
            progress = measured(progress, value, min_delta=self.early_stopping.min_delta)
        if math.isnan(value) or (progress.best is not None and value <= progress.best):
            return progress
        if self.checkpointer is not None and self.communicator.rank == 0:
            with self.communicator.doing("writing the best model", extra=WRITING):
                self.checkpointer.save_best(self.step, epoch=epoch, metrics=metrics)
        return replace(progress, best=value, best_epoch=epoch)

    def _save(self, progress: Progress) -> None:
        self._saved = perf_counter()
        if self.checkpointer is not None and self.communicator.rank == 0 and progress != self._written:
            with self.communicator.doing("writing a checkpoint", extra=WRITING):
                self.checkpointer.save(self.step, progress)
            self._written = progress

    def _is_exhausted(self, progress: Progress) -> bool:
        """Whether patience is at its end, the same on all ranks."""
        return self.early_stopping is not None and self.communicator.any(progress.num_stale >= self.early_stopping.patience)

    def _is_due(self, epoch: int, every: int) -> bool:
        return epoch % every == 0 or epoch == self.num_epochs - 1

    def _stopped(self) -> int | None:
        """The signal some rank got, the same on all ranks."""
        if not self.communicator.any(bool(self._stop)):
            return None
        return max(number for part in self.communicator.gather(list(self._stop)) for number in part)

    @property
    def _listeners(self) -> Sequence[Monitor]:
        return self.monitors if self.communicator.rank == 0 else ()


def _advanced(progress: Progress, report: StepReport, *, seconds: float) -> Progress:
    new = {} if report.is_skipped else {**report.losses, "total": report.total}
    sums = {name: progress.sums.get(name, 0.0) + new.get(name, 0.0) for name in dict.fromkeys([*progress.sums, *new])}
    return replace(
        progress,
        batch=progress.batch + 1,
        iteration=progress.iteration + 1,
        sums=sums,
        steps=progress.steps + (not report.is_skipped),
        seconds=progress.seconds + seconds,
    )


@contextmanager
def _signals(received: list[int]) -> Iterator[None]:
    """Note the signals of STOPS instead of dying of them; a second one acts as usual."""

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, previous[number])

    received.clear()
    previous: dict[int, Any] = {number: signal.getsignal(number) for number in STOPS}
    for number in previous:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
