"""Monitors that say what training computes in and what memory it takes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from centernet.engine import memory
from centernet.engine.checkpoint import Progress
from centernet.engine.function_types import summary, table
from centernet.engine.step import StepReport, TrainStep
from centernet.weights.store import write_atomically


class TypesReport:
    """A monitor that says after the first step which functions ran in which type, and writes the table to `path` (CSV).

    Only where a step computes in half precision: elsewhere everything is float32.
    """

    def __init__(self, step: TrainStep, path: Path, *, file: TextIO | None = None) -> None:
        self._step = step
        self._path = path
        self._file = file or sys.stderr
        self._is_done = False

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        """The first time only."""
        if self._is_done:
            return
        self._is_done = True
        counts = self._step.function_types
        if any(kind.output != "float32" for kind in counts):
            write_atomically(self._path, table(counts).encode())
            tqdm.write("\n".join(summary(counts)) + f"\n{self._path}: all of them", file=self._file)

    def started(self, progress: Progress) -> None:
        """Nothing has run yet."""

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        """Said already."""

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        """Said already."""

    def ended(self, text: str) -> None:
        """Said already."""


class MemoryReport:
    """A monitor that says after each epoch where memory has grown what the most was so far.

    NNabla's memory pool keeps what it took from the GPU, so that what is in use after an epoch is the most there was in it; what
    other processes have on the same GPU counts too.

    Args:
        is_gpu: whether training runs on one.
    """

    def __init__(self, *, is_gpu: bool, file: TextIO | None = None) -> None:
        self._is_gpu = is_gpu
        self._file = file or sys.stderr
        self._shown = 0.0

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        """A line, if there is a tenth more than the last one said."""
        gpu = memory.gpu_memory() if self._is_gpu else None
        used = memory.host_peak() + (gpu[0] if gpu else 0)
        if used > 1.1 * self._shown:
            self._shown = used
            tqdm.write(memory.text(memory.host_peak(), gpu), file=self._file)

    def started(self, progress: Progress) -> None:
        """Nothing is taken yet."""

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        """Every step takes the same."""

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        """Told with the next epoch."""

    def ended(self, text: str) -> None:
        """Nothing new."""
