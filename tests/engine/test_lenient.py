from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from centernet.engine.checkpoint import Progress
from centernet.engine.communicator import Single
from centernet.engine.lenient import Lenient
from centernet.engine.monitors import CsvFile, read_csv
from centernet.engine.step import StepReport
from centernet.errors import OutputError


class Failing:
    """Fails from its second epoch on."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def started(self, progress: Progress) -> None:
        self.told.append("started")

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        self.told.append(f"step {progress.iteration}")

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        self.told.append(f"epoch {epoch}")
        if epoch:
            raise OSError(28, "No space left on device")

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        self.told.append(f"validated {epoch}")

    def pictured(self, epoch: int, png: bytes) -> None:
        self.told.append(f"pictured {epoch}")

    def ended(self, text: str) -> None:
        self.told.append(text)


def test_a_monitor_that_fails_warns_once_and_training_goes_on(toy: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    toy.draw_parameters()
    failing, table = Failing(), CsvFile(tmp_path / "metrics.csv", every=1)
    lenient = Lenient(failing, name="out/board")
    assert toy.make_trainer(Single(), None, num_epochs=3, monitors=[lenient, table]).fit().exit_code == 0
    lenient.pictured(2, b"")
    assert [text for text in failing.told if not text.startswith("step")] == ["started", "epoch 0", "epoch 1"]
    assert failing.told[-2:] == ["step 8", "epoch 1"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning == "out/board: [Errno 28] No space left on device; training goes on, and nothing more is written there"
    assert [row["epoch"] for row in read_csv(tmp_path / "metrics.csv") if row["kind"] == "epoch"] == ["0", "1", "2"]


def test_pictures_are_handed_on_to_monitors_that_take_them() -> None:
    failing = Failing()
    Lenient(failing, name="").pictured(3, b"")
    Lenient(CsvFile(Path("metrics.csv")), name="").pictured(3, b"")
    assert failing.told == ["pictured 3"]


def test_what_cannot_be_written_from_the_start_ends_the_training_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file: cannot be written: File exists"):
        Lenient(CsvFile(tmp_path / "file" / "metrics.csv"), name="out").started(Progress())

    class Refused(Failing):
        def started(self, progress: Progress) -> None:
            raise PermissionError(13, "Permission denied")

    with pytest.raises(OutputError, match=r"out/board: cannot be written: .*Permission denied"):
        Lenient(Refused(), name="out/board").started(Progress())
