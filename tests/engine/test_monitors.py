from __future__ import annotations

from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from centernet.engine.checkpoint import Progress
from centernet.engine.monitors import CsvFile, SeriesFiles, read_csv, read_series
from centernet.engine.step import StepReport
from centernet.errors import OutputError

NAMES = {"heatmap": "hm_loss", "size": "wh_loss"}
REPORT = StepReport(losses={"heatmap": 2.0, "size": 5.0}, total=2.5, is_skipped=False, gradient_norm=7.0)
LOSSES = {"heatmap": 2.0, "size": 5.0, "total": 1.23456789}


def step(monitor: CsvFile, progress: Progress) -> None:
    monitor.stepped(progress, REPORT, learning_rate=1e-3, num_images=8, wait=0.05)


def test_series_have_the_predecessors_names_and_lines(tmp_path: Path) -> None:
    series = SeriesFiles(tmp_path / "tmp.monitor", published_names=NAMES)
    series.started(Progress())
    series.epoch_ended(0, LOSSES, learning_rate=1e-3)
    series.validated(0, LOSSES, {"AP": 0.25, "AP50": 0.5})
    found = {path.name: path.read_text() for path in (tmp_path / "tmp.monitor").iterdir()}
    timer = found.pop("time.timer.txt").split()
    assert found == {
        "Training-Loss.series.txt": "0 1.23457\n",
        "hm_loss.series.txt": "0 2\n",
        "wh_loss.series.txt": "0 5\n",
        "Validation-Loss.series.txt": "0 1.23457\n",
        "val_hm_loss.series.txt": "0 2\n",
        "val_wh_loss.series.txt": "0 5\n",
        "Val-mAP.series.txt": "0 0.25\n",
    }
    assert (timer[0], timer[2], len(timer)) == ("0", "1", 4)


def test_a_resumed_series_keeps_the_lines_before_and_drops_those_to_come(tmp_path: Path) -> None:
    first = SeriesFiles(tmp_path, published_names=NAMES)
    first.started(Progress())
    for epoch in range(4):
        first.epoch_ended(epoch, LOSSES, learning_rate=1e-3)
    second = SeriesFiles(tmp_path, published_names=NAMES)
    second.started(Progress(epoch=2, seconds=100.0))
    second.epoch_ended(2, {"total": 9.0}, learning_rate=1e-3)
    assert read_series(tmp_path / "Training-Loss.series.txt") == ([0, 1, 2], [1.23457, 1.23457, 9.0])
    last = (tmp_path / "time.timer.txt").read_text().splitlines()[-1].split()
    assert float(last[3]) > 100


def test_the_csv_has_rows_for_steps_epochs_and_validations(tmp_path: Path) -> None:
    table = CsvFile(tmp_path / "metrics.csv", every=2)
    table.started(Progress())
    for i in (1, 2, 3, 4):
        step(table, Progress(epoch=0, batch=i, iteration=i, seconds=0.5 * i))
    table.epoch_ended(0, LOSSES, learning_rate=1e-3)
    table.validated(0, {"total": 3.0}, {"AP": 0.25})
    rows = read_csv(tmp_path / "metrics.csv")
    assert [(row["kind"], row["iteration"]) for row in rows] == [("step", "2"), ("step", "4"), ("epoch", "4"), ("validation", "4")]
    assert rows[1] == {
        "kind": "step", "epoch": "0", "iteration": "4", "seconds": "2.000", "learning_rate": "0.001",
        "images_per_second": "16", "waiting": "0.1", "gradient_norm": "7", "loss": "2.5", "heatmap": "2", "size": "5",
    }  # fmt: skip
    assert rows[3] == {"kind": "validation", "epoch": "0", "iteration": "4", "seconds": "2.000", "loss": "3", "AP": "0.25"}
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert len({line.count(",") for line in lines}) == 1


def test_a_resumed_csv_keeps_the_rows_before_and_drops_those_to_come(tmp_path: Path) -> None:
    table = CsvFile(tmp_path / "metrics.csv", every=1)
    table.started(Progress())
    for i in (1, 2, 3):
        step(table, Progress(epoch=0, batch=i, iteration=i, seconds=1.0 * i))
    table.epoch_ended(0, LOSSES, learning_rate=1e-3)
    again = CsvFile(tmp_path / "metrics.csv", every=1)
    again.started(Progress(epoch=0, batch=2, iteration=2))
    step(again, Progress(epoch=0, batch=3, iteration=3, seconds=3.0))
    assert [(row["kind"], row["iteration"]) for row in read_csv(tmp_path / "metrics.csv")] == [("step", str(i)) for i in (1, 2, 3)]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/monitor: cannot be written"):
        SeriesFiles(tmp_path / "file" / "monitor", published_names={}).started(Progress())
    with pytest.raises(OutputError, match=r"file: cannot be written"):
        CsvFile(tmp_path / "file" / "metrics.csv").started(Progress())


def test_the_loss_scale_is_in_the_series_and_in_the_table_with_the_steps_skipped(tmp_path: Path) -> None:
    scaled = [replace(REPORT, loss_scale=scale, is_skipped=is_skipped) for scale, is_skipped in ((8.0, True), (4.0, False), (4.0, False))]
    monitors = [SeriesFiles(tmp_path, published_names=NAMES), CsvFile(tmp_path / "metrics.csv", every=2)]
    for monitor in monitors:
        monitor.started(Progress())
        for i, report in enumerate(scaled, 1):
            monitor.stepped(Progress(batch=i, iteration=i, seconds=0.5 * i), report, learning_rate=1e-3, num_images=8, wait=0.0)
        monitor.epoch_ended(0, LOSSES, learning_rate=1e-3)
    assert (tmp_path / "Loss-Scale.series.txt").read_text() == "0 4\n"
    (row,) = [row for row in read_csv(tmp_path / "metrics.csv") if row["kind"] == "step"]
    assert (row["loss_scale"], row["skipped"]) == ("4", "1")


def test_a_line_that_does_not_fit_on_the_disk_leaves_nothing_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = CsvFile(tmp_path / "metrics.csv", every=1)
    table.started(Progress())
    step(table, Progress(epoch=0, batch=1, iteration=1, seconds=1.0))
    before = table.path.read_bytes()

    class Full(FileIO):
        def write(self, content: Any) -> int:
            return super().write(content[:7])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode, buffering: Full(path, mode.replace("b", "")))
        with pytest.raises(OutputError, match=r"metrics\.csv: cannot be written: No space left on device"):
            step(table, Progress(epoch=0, batch=2, iteration=2, seconds=2.0))
    assert table.path.read_bytes() == before
