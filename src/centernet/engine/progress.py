"""The progress bar: on a terminal a live one, elsewhere (a log file) a line now and then."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Mapping
from time import perf_counter
from typing import NamedTuple, TextIO

from tqdm import tqdm

from centernet.engine.checkpoint import Progress
from centernet.engine.step import StepReport

SMOOTHING = 0.9  # of the loss terms shown
WINDOW = 50  # steps that images/s and the share of time waiting for data are means of: how it is now
BAR = 20  # characters of the bar in a plain line
WIDTH = 140
ROWS = 24  # of the terminal; tqdm draws nothing where it takes them from one that has no size, as those of containers


class _Step(NamedTuple):
    """What a step did and took: images over all ranks, seconds, and how many of those it waited for data."""

    num_images: int
    seconds: float
    wait: float


class ProgressBar:
    """Epoch, loss terms, images/s, the share of time that the network waited for data, and the time left.

    Where losses are scaled, also by what, and how many steps were skipped because they overflowed.

    Args:
        interval: seconds between plain lines.
        is_live: redraw one line; None: if the user looks at a terminal.
    """

    def __init__(
        self, *, num_epochs: int, batches_per_epoch: int, interval: float = 10.0, is_live: bool | None = None, file: TextIO | None = None
    ) -> None:
        self._num_epochs = num_epochs
        self._length = batches_per_epoch
        self._interval = interval
        self._file = file or sys.stderr
        width = terminal_width()
        self._is_live = width is not None if is_live is None else is_live
        self._width = min(width or WIDTH, WIDTH)
        self._bar: tqdm | None = None
        self._smooth: dict[str, float] = {}
        self._loss_scale: float | None = None
        self._skipped = 0
        self._done = self._first = 0
        self._begun, self._printed = perf_counter(), -interval
        self._trained = 0.0
        self._recent: deque[_Step] = deque(maxlen=WINDOW)

    def started(self, progress: Progress) -> None:
        """Begin where training begins; the bar is over all epochs."""
        self._done = progress.epoch * self._length + progress.batch
        self._first = self._done
        self._trained = progress.seconds
        self._begun = perf_counter()
        if self._is_live:
            form = "{desc} |{bar:20}| {percentage:3.0f}% ETA {remaining}{postfix}"
            self._bar = tqdm(
                total=self._total, initial=self._done, file=self._file, bar_format=form, ncols=self._width, nrows=ROWS, mininterval=0.2
            )

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        """Count one step."""
        self._done += 1
        self._recent.append(_Step(num_images, progress.seconds - self._trained, wait))
        self._trained = progress.seconds
        self._loss_scale = report.loss_scale
        self._skipped += report.is_skipped
        if not report.is_skipped:
            terms = {"loss": report.total, **report.losses}
            self._smooth = {name: _blend(self._smooth.get(name, value), value) for name, value in terms.items()}
        text = f"epoch {progress.epoch + 1}/{self._num_epochs} batch {progress.batch}/{self._length}"
        if self._bar is not None:
            self._bar.set_description_str(text, refresh=False)
            self._bar.set_postfix_str(self._state(), refresh=False)
            self._bar.update(1)
        elif perf_counter() - self._printed >= self._interval or self._done == self._total:
            self._printed = perf_counter()
            done = self._done / self._total
            bar = ("#" * int(BAR * done)).ljust(BAR, ".")
            self._print(f"[{bar}] {done:4.0%} {text} {self._state()}, ETA {_clock(self._seconds_left())}")

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        """The epoch's means on a line of their own."""
        terms = " ".join(f"{name} {value:.3f}" for name, value in losses.items() if name != "total")
        if losses:
            self._print(f"epoch {epoch + 1}/{self._num_epochs}: loss {losses['total']:.3f} ({terms}), learning rate {learning_rate:.3g}")

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        """What was measured."""
        parts = [f"loss {losses['total']:.3f}"] if losses else []
        parts += [f"{name} {metrics[name]:.4f}" for name in ("AP", "AP50", "AP75") if name in metrics]
        self._print(f"epoch {epoch + 1}/{self._num_epochs}: held out {', '.join(parts)}")

    def ended(self, text: str) -> None:
        """Close the bar and say how training ended."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._print(f"{text} ({_clock(perf_counter() - self._begun)})")

    @property
    def _total(self) -> int:
        return self._num_epochs * self._length

    def _state(self) -> str:
        num_images, wait = sum(step.num_images for step in self._recent), sum(step.wait for step in self._recent)
        seconds = max(sum(step.seconds for step in self._recent), 1e-9)
        terms = " ".join(f"{name} {value:.3f}" for name, value in self._smooth.items())
        speed = f"{num_images / seconds:.1f} images/s, {wait / seconds:.0%} waiting for data"
        if self._loss_scale is None:
            return f"{terms}, {speed}"
        skipped = f" ({self._skipped} skipped)" if self._skipped else ""
        return f"{terms}, scale {self._loss_scale:g}{skipped}, {speed}"

    def _seconds_left(self) -> float:
        done = max(self._done - self._first, 1)
        return (perf_counter() - self._begun) / done * (self._total - self._done)

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=self._file)
        else:
            print(text, file=self._file, flush=True)


def terminal_width() -> int | None:
    """Columns of the terminal a person watches, None where nobody does.

    Under mpirun that is mpirun's terminal: a process's own output is always a pipe, or always looks like a terminal.
    """
    stream = f"/proc/{os.getppid()}/fd/2" if "OMPI_COMM_WORLD_SIZE" in os.environ else "/proc/self/fd/2"
    try:
        descriptor = os.open(stream, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)  # a log file must not be truncated by looking at it
    except OSError:
        return None
    try:
        return os.get_terminal_size(descriptor).columns or WIDTH
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _blend(old: float, new: float) -> float:
    return SMOOTHING * old + (1 - SMOOTHING) * new


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
