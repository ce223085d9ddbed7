from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nnabla as nn
import pytest

from centernet.engine import checkpoint
from centernet.engine.checkpoint import Progress
from centernet.engine.communicator import Single
from centernet.engine.monitors import CsvFile, SeriesFiles, read_csv
from centernet.errors import TrainingError


class Recorder:
    """Writes down what it is told; `at` may act at a position."""

    def __init__(self, at: Callable[[Progress], None] = lambda progress: None) -> None:
        self.at = at
        self.events: list[tuple[Any, ...]] = []

    def started(self, progress: Progress) -> None:
        self.events.append(("started", progress.epoch, progress.batch))

    def stepped(self, progress: Progress, report: Any, **_: Any) -> None:
        self.at(progress)

    def epoch_ended(self, epoch: int, losses: Any, **_: Any) -> None:
        self.events.append(("epoch", epoch, losses["total"]))

    def validated(self, epoch: int, losses: Any, metrics: Any) -> None:
        self.events.append(("validated", epoch, dict(losses), dict(metrics)))

    def ended(self, text: str) -> None:
        self.events.append(("ended", text))


def kill_at(epoch: int, batch: int, number: int) -> Callable[[Progress], None]:
    def act(progress: Progress) -> None:
        if (progress.epoch, progress.batch) == (epoch, batch):
            os.kill(os.getpid(), number)

    return act


def test_training_tells_its_monitors_means_and_validation_every_few_epochs_and_at_the_end(toy: ModuleType) -> None:
    toy.draw_parameters()
    recorder = Recorder()
    values = {0: 0.1, 2: 0.3, 3: 0.2}
    trainer = toy.make_trainer(
        Single(),
        None,
        num_epochs=4,
        monitors=[recorder],
        validate_every=2,
        validation_losses=lambda: {"total": 1.0},
        metrics=lambda epoch: {"AP": values[epoch], "per_class": {}},
    )
    result = trainer.fit()
    assert [event[:2] for event in recorder.events if event[0] == "epoch"] == [("epoch", e) for e in range(4)]
    assert [event for event in recorder.events if event[0] == "validated"] == [
        ("validated", epoch, {"total": 1.0}, {"AP": value}) for epoch, value in values.items()
    ]
    assert recorder.events[0] == ("started", 0, 0)
    assert recorder.events[-1] == ("ended", "training is complete")
    assert (result.exit_code, result.progress.best, result.progress.best_epoch) == (0, 0.3, 2)
    losses = [event[2] for event in recorder.events if event[0] == "epoch"]
    assert losses[-1] < losses[0]


def test_the_best_model_by_ap_is_kept_and_later_worse_ones_are_not(toy: ModuleType, tmp_path: Path) -> None:
    toy.draw_parameters()
    best = {}

    def metrics(epoch: int) -> dict[str, float]:
        if epoch == 1:
            best.update(toy.parameter_values())
        return {"AP": [0.1, 0.5, 0.5][epoch]}

    toy.make_trainer(Single(), tmp_path, metrics=metrics, validate_every=1).fit()
    found = checkpoint.read_parameters(tmp_path / "params_best.h5").parameters
    assert all((values == best[name]).all() for name, values in found.items())


def test_an_ap_that_is_not_a_number_is_never_the_best(toy: ModuleType) -> None:
    toy.draw_parameters()
    assert toy.make_trainer(Single(), None, metrics=lambda epoch: {"AP": float("nan")}).fit().progress.best is None


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("position", [(1, 2), (1, 4)])
def test_resuming_after_a_signal_equals_an_uninterrupted_training(
    toy: ModuleType, tmp_path: Path, number: int, exit_code: int, position: tuple[int, int]
) -> None:
    def train(name: str, act: Callable[[Progress], None], start: checkpoint.Checkpoint | None = None) -> tuple[Any, ...]:
        nn.clear_parameters()
        toy.draw_parameters(seed=0 if start is None else 99)
        folder = tmp_path / name
        monitors = [Recorder(act), SeriesFiles(folder, published_names={}), CsvFile(folder / "metrics.csv", every=3)]
        trainer = toy.make_trainer(Single(), folder, monitors=monitors, metrics=lambda epoch: {"AP": 0.1 * epoch}, validate_every=1)
        if start is not None:
            checkpoint.restore(start, trainer.step)
        result = trainer.fit(start.progress if start is not None else None)
        series = {path.name: path.read_text() for path in folder.glob("*.series.txt")}
        times = ("seconds", "images_per_second", "waiting")
        rows = [{k: v for k, v in row.items() if k not in times} for row in read_csv(folder / "metrics.csv")]
        return result, toy.parameter_values(), trainer.step.solver.states(), series, rows

    _, parameters, states, series, rows = train("whole", lambda progress: None)
    stopped, *_ = train("parts", kill_at(*position, number))
    assert stopped.exit_code == exit_code
    assert (stopped.progress.epoch, stopped.progress.batch) == ((1, 2) if position == (1, 2) else (2, 0))
    resumed, found, found_states, found_series, found_rows = train("parts", lambda progress: None, checkpoint.load(tmp_path / "parts"))
    assert resumed.exit_code == 0
    assert all((values == found[name]).all() for name, values in parameters.items())
    assert all((values == found_states[name][key]).all() for name, arrays in states.items() for key, values in arrays.items())
    assert found_series == series
    assert found_rows == rows


def test_signals_act_as_before_when_training_is_over(toy: ModuleType) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    toy.draw_parameters()
    toy.make_trainer(Single(), None, num_epochs=1).fit()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_loss_that_is_not_finite_stops_with_the_names_of_the_batchs_images(toy: ModuleType, tmp_path: Path) -> None:
    toy.draw_parameters()
    trainer = toy.make_trainer(Single(), tmp_path, loader=toy.Loader(poison=(0, 1, 2)))
    with pytest.raises(TrainingError, match=r"loss is not finite.*: e0b1i0\.jpg, e0b1i1\.jpg, e0b1i2\.jpg, e0b1i3\.jpg") as raised:
        trainer.fit()
    assert raised.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_inside_an_epoch_is_written_when_time_is_up(toy: ModuleType, tmp_path: Path) -> None:
    toy.draw_parameters()
    seen: list[int] = []

    def look(progress: Progress) -> None:
        if (progress.epoch, progress.batch) == (0, 3):
            seen.append(checkpoint.load(tmp_path).progress.batch)

    toy.make_trainer(Single(), tmp_path, num_epochs=1, monitors=[Recorder(look)], save_seconds=0.0).fit()
    assert seen == [2]


def test_a_loader_that_ends_too_early_is_noticed(toy: ModuleType) -> None:
    class Short(toy.Loader):  # type: ignore[misc, name-defined]
        def epoch(self, epoch: int, start_batch: int = 0) -> Any:
            yield from list(super().epoch(epoch, start_batch))[:2]

    toy.draw_parameters()
    with pytest.raises(TrainingError, match="epoch 0 ended after 2 batches, expected 4"):
        toy.make_trainer(Single(), None, loader=Short()).fit()
