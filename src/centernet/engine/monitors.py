"""What training leaves to read: the predecessor's series files and one CSV; both survive a resume."""

from __future__ import annotations

import csv
import errno
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter

from centernet.engine.checkpoint import Progress
from centernet.engine.rows import Rows
from centernet.engine.step import StepReport
from centernet.errors import OutputError
from centernet.weights.store import write_atomically

# The predecessor's names; those of the loss terms come from the task.
TRAINING, VALIDATION, MAP, TIMER = "Training-Loss", "Validation-Loss", "Val-mAP", "time"
VALIDATION_PREFIX = "val_"
LOSS_SCALE = "Loss-Scale"  # ours


class SeriesFiles:
    """NNabla Monitor files, `<name>.series.txt` with a line `epoch value` each, and `time.timer.txt`.

    Unlike NNabla's own they keep the lines from before a resume.

    Args:
        published_names: loss term -> the predecessor's name (`heatmap` -> `hm_loss`).
    """

    def __init__(self, folder: Path, *, published_names: Mapping[str, str]) -> None:
        self.folder = folder
        self._names = dict(published_names)
        self._begun = self._lap = perf_counter()
        self._before = 0.0
        self._loss_scale: float | None = None

    def started(self, progress: Progress) -> None:
        """Drop what is about to be trained again."""
        _make(self.folder)
        for path in (*self.folder.glob("*.series.txt"), *self.folder.glob("*.timer.txt")):
            lines = [line for line in path.read_text().splitlines(keepends=True) if int(line.split()[0]) < progress.epoch]
            write_atomically(path, "".join(lines).encode())
        self._begun = self._lap = perf_counter()
        self._before = progress.seconds

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        """Nothing yet: these files have a line per epoch."""
        self._loss_scale = report.loss_scale

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        """A line in each loss's file, and in the timer's: epoch, seconds since the last, 1, seconds since the start.

        Where losses are scaled, also the scale of the epoch's last step.
        """
        for name, value in losses.items():
            self._add(TRAINING if name == "total" else self._names.get(name, name), epoch, value)
        if self._loss_scale is not None:
            self._add(LOSS_SCALE, epoch, self._loss_scale)
        now = perf_counter()
        line = f"{epoch} {now - self._lap} 1 {self._before + now - self._begun}\n"
        self._lap = now
        _append(self.folder / f"{TIMER}.timer.txt", line)

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        """A line in each validation file."""
        for name, value in losses.items():
            self._add(VALIDATION if name == "total" else VALIDATION_PREFIX + self._names.get(name, name), epoch, value)
        if "AP" in metrics:
            self._add(MAP, epoch, metrics["AP"])

    def ended(self, text: str) -> None:
        """Nothing left to write."""

    def _add(self, name: str, epoch: int, value: float) -> None:
        _append(self.folder / f"{name}.series.txt", f"{epoch} {value:g}\n")


class CsvFile(Rows):
    """One table with the rows of a training."""

    FIRST = ("kind", "epoch", "iteration", "seconds", "learning_rate", "images_per_second", "waiting", "gradient_norm", "loss")

    def __init__(self, path: Path, *, every: int = 50) -> None:
        super().__init__(every=every)
        self.path = path
        self._columns: list[str] = []

    def started(self, progress: Progress) -> None:
        """Drop the rows of what is about to be trained again; keep the others and their columns."""
        _make(self.path.parent)
        rows = read_csv(self.path) if self.path.exists() else []
        kept = [row for row in rows if _is_before(row, progress)]
        self._columns = list(dict.fromkeys([*self.FIRST, *(key for row in rows for key in row)]))
        self._rewrite(kept)
        super().started(progress)

    def ended(self, text: str) -> None:
        """Nothing left to write."""

    def write(self, kind: str, epoch: int, numbers: Mapping[str, float]) -> None:
        """A line of the file; a name that is new makes a column."""
        row = {"kind": kind, "epoch": str(epoch), "iteration": str(self._progress.iteration), "seconds": f"{self._progress.seconds:.3f}"}
        row |= {name: f"{value:.7g}" for name, value in numbers.items()}
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            self._rewrite(read_csv(self.path))
        _append(self.path, _csv_text(self._columns, [row], header=False))

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        write_atomically(self.path, _csv_text(self._columns, rows, header=True).encode())


def read_series(path: Path) -> tuple[list[int], list[float]]:
    """(epochs, values) of a series file; empty where there is none."""
    lines = path.read_text().split("\n") if path.exists() else []
    pairs = [line.split() for line in lines if line]
    return [int(pair[0]) for pair in pairs], [float(pair[1]) for pair in pairs]


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows, without the empty cells."""
    with path.open(newline="") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


def _is_before(row: Mapping[str, str], progress: Progress) -> bool:
    return int(row["iteration"]) <= progress.iteration if row["kind"] == "step" else int(row["epoch"]) < progress.epoch


def _csv_text(columns: list[str], rows: list[dict[str, str]], *, header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _make(folder: Path) -> None:
    _writing(folder, lambda: folder.mkdir(parents=True, exist_ok=True))


def _append(path: Path, text: str) -> None:
    """All of a text or, where the disk is full, nothing of it."""
    content = text.encode()

    def append() -> None:
        with path.open("ab", buffering=0) as file:
            end = file.tell()
            if file.write(content) < len(content):
                file.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _writing(path, append)


def _writing(path: Path, action: Callable[[], None]) -> None:
    try:
        action()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
