from __future__ import annotations

import io
from dataclasses import replace

import pytest

from centernet.engine.checkpoint import Progress
from centernet.engine.progress import ProgressBar, terminal_width
from centernet.engine.step import StepReport

REPORT = StepReport(losses={"heatmap": 2.0, "size": 5.0}, total=2.5, is_skipped=False, gradient_norm=7.0)
SKIPPED = StepReport(losses={"heatmap": float("inf"), "size": 5.0}, total=float("inf"), is_skipped=True, gradient_norm=7.0)


def train(bar: ProgressBar, *, report: StepReport = REPORT, wait: float = 0.0) -> None:
    bar.started(Progress())
    for epoch in range(2):
        for batch in (1, 2):
            progress = Progress(epoch=epoch, batch=batch, iteration=2 * epoch + batch, seconds=0.5 * (2 * epoch + batch))
            bar.stepped(progress, report, learning_rate=1e-3, num_images=8, wait=wait)
        bar.epoch_ended(epoch, {"heatmap": 2.0, "total": 2.5}, learning_rate=1e-3)
    bar.validated(1, {"total": 3.0}, {"AP": 0.25, "AP50": 0.5, "other": 1.0})
    bar.ended("training is complete")


@pytest.mark.parametrize("is_live", [True, False])
def test_loss_terms_images_per_second_and_the_time_left_are_shown(is_live: bool) -> None:
    file = io.StringIO()
    train(ProgressBar(num_epochs=2, batches_per_epoch=2, interval=0.0, is_live=is_live, file=file))
    text = file.getvalue()
    for part in ("epoch 2/2 batch 2/2", "100%", "loss 2.500 heatmap 2.000 size 5.000", "16.0 images/s", "ETA "):
        assert part in text
    assert "epoch 2/2: loss 2.500 (heatmap 2.000), learning rate 0.001\n" in text
    assert "epoch 2/2: held out loss 3.000, AP 0.2500, AP50 0.5000\n" in text
    assert "training is complete (0:00)\n" in text


def test_a_log_file_gets_a_line_now_and_then_and_the_last_one() -> None:
    file = io.StringIO()
    train(ProgressBar(num_epochs=2, batches_per_epoch=2, interval=1000.0, is_live=False, file=file))
    lines = [line for line in file.getvalue().splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in lines] == ["[#####...............", "[####################"]
    assert "\r" not in file.getvalue()


def test_a_skipped_step_does_not_spoil_the_losses_shown() -> None:
    file = io.StringIO()
    bar = ProgressBar(num_epochs=2, batches_per_epoch=2, interval=0.0, is_live=False, file=file)
    train(bar, report=SKIPPED)
    assert "inf" not in file.getvalue()


@pytest.mark.parametrize("is_live", [True, False])
@pytest.mark.parametrize(("wait", "expected"), [(0.0, "0%"), (0.01, "2%"), (0.25, "50%")])
def test_the_share_of_time_waiting_for_data_is_shown(is_live: bool, wait: float, expected: str) -> None:
    file = io.StringIO()
    train(ProgressBar(num_epochs=2, batches_per_epoch=2, interval=0.0, is_live=is_live, file=file), wait=wait)
    assert f"images/s, {expected} waiting for data" in file.getvalue()


def test_images_per_second_and_the_waiting_are_those_of_the_last_steps() -> None:
    file = io.StringIO()
    bar = ProgressBar(num_epochs=1, batches_per_epoch=150, interval=0.0, is_live=False, file=file)
    bar.started(Progress(seconds=1000.0))  # of the training that is resumed
    seconds = 1000.0
    for batch in range(1, 151):
        is_slow = batch <= 90
        seconds += 8.0 if is_slow else 0.5
        progress = Progress(batch=batch, iteration=batch, seconds=seconds)
        bar.stepped(progress, REPORT, learning_rate=1e-3, num_images=8, wait=6.0 if is_slow else 0.05)
    lines = file.getvalue().splitlines()
    assert "1.0 images/s, 75% waiting for data" in lines[0]
    assert "1.0 images/s, 75% waiting for data" in lines[89]
    assert "16.0 images/s, 10% waiting for data" in lines[149]


def test_a_pipe_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    with open("/dev/null", "wb") as null:
        monkeypatch.setattr("centernet.engine.progress.open", lambda *_, **__: null, raising=False)
        assert terminal_width() is None


def test_where_losses_are_scaled_the_scale_and_skipped_steps_are_shown() -> None:
    file = io.StringIO()
    train(
        ProgressBar(num_epochs=2, batches_per_epoch=2, interval=0.0, is_live=False, file=file), report=replace(SKIPPED, loss_scale=1024.0)
    )
    assert "scale 1024 (4 skipped), 16.0 images/s" in file.getvalue()
    file = io.StringIO()
    train(ProgressBar(num_epochs=2, batches_per_epoch=2, interval=0.0, is_live=False, file=file))
    assert "scale" not in file.getvalue()


def test_the_learning_rate_is_shown_to_three_digits() -> None:
    file = io.StringIO()
    bar = ProgressBar(num_epochs=1, batches_per_epoch=1, is_live=False, file=file)
    bar.started(Progress())
    bar.epoch_ended(0, {"total": 2.5}, learning_rate=1.25e-4)
    assert "learning rate 0.000125\n" in file.getvalue()
