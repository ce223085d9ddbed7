from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from centernet.engine.checkpoint import Progress
from centernet.engine.curves import Curves
from centernet.engine.monitors import SeriesFiles
from centernet.engine.step import StepReport

REPORT = StepReport(losses={}, total=1.0, is_skipped=False, gradient_norm=1.0)


def test_the_picture_is_drawn_once_an_epoch_with_its_validation_and_at_the_end(tmp_path: Path) -> None:
    series, curves = SeriesFiles(tmp_path, published_names={}), Curves(tmp_path / "curves.png", folder=tmp_path, terms=["hm_loss"])
    pictures = []
    for epoch in range(2):
        for monitor in (series, curves):
            monitor.epoch_ended(epoch, {"total": 2.0 - epoch, "hm_loss": 1.0}, learning_rate=1e-3)
            monitor.validated(epoch, {"total": 3.0}, {"AP": 0.1 * epoch})
            monitor.stepped(Progress(), REPORT, learning_rate=1e-3, num_images=1, wait=0.0)
        pictures.append((tmp_path / "curves.png").read_bytes())
    curves.ended("done")
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert pictures[0] != pictures[1] == (tmp_path / "curves.png").read_bytes()


def test_nothing_is_drawn_before_there_is_something(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "curves.png", folder=tmp_path)
    curves.started(Progress())
    curves.ended("stopped")
    assert not (tmp_path / "curves.png").exists()


def test_the_loss_scale_is_drawn_where_there_is_one(tmp_path: Path) -> None:
    pictures = []
    for name, scale in (("without", None), ("with", 1024.0)):
        folder = tmp_path / name
        folder.mkdir()
        series, curves = SeriesFiles(folder, published_names={}), Curves(folder / "curves.png", folder=folder)
        for monitor in (series, curves):
            monitor.stepped(Progress(), replace(REPORT, loss_scale=scale), learning_rate=1e-3, num_images=1, wait=0.0)
            monitor.epoch_ended(0, {"total": 2.0}, learning_rate=1e-3)
        curves.ended("done")
        pictures.append((folder / "curves.png").read_bytes())
    assert pictures[0] != pictures[1]
