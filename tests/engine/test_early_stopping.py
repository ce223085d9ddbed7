"""Ending a training that gets no better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import nnabla as nn
import pytest

from centernet import config as configuration
from centernet.engine import checkpoint
from centernet.engine.checkpoint import Progress
from centernet.engine.communicator import Single
from centernet.engine.early_stopping import EarlyStoppingConfig, measured
from centernet.errors import ConfigError
from centernet.experiment.schema import TrainConfig

NAN = math.nan


class Ending:
    """A monitor that keeps how training ended."""

    text = ""

    def ended(self, text: str) -> None:
        self.text = text

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def stale(values: Sequence[float], *, min_delta: float) -> list[int]:
    """Measurements without gain, after each of `values`."""
    progress, found = Progress(), []
    for value in values:
        progress = measured(progress, value, min_delta=min_delta)
        found.append(progress.num_stale)
    return found


@pytest.mark.parametrize(
    ("values", "min_delta", "expected"),
    [
        ([0.1, 0.2, 0.2, 0.3], 0.0, [0, 0, 1, 0]),
        ([0.1, 0.14, 0.16, 0.2], 0.05, [0, 1, 0, 1]),  # above the last that counted, not the one before
        ([NAN, NAN, 0.1, NAN], 0.0, [1, 2, 0, 1]),
        ([0.0, 0.0, 0.0], 0.0, [0, 1, 2]),
    ],
)
def test_a_measurement_counts_that_is_above_the_last_that_did(values: list[float], min_delta: float, expected: list[int]) -> None:
    assert stale(values, min_delta=min_delta) == expected


def fit(toy: ModuleType, folder: Path, values: Sequence[float], *, resume: bool = False, **options: Any) -> tuple[Progress, str]:
    nn.clear_parameters()
    toy.draw_parameters()
    ending = Ending()
    settings = {"monitors": [ending], "validate_every": 1, "save_every": 100, **options}
    trainer = toy.make_trainer(Single(), folder, metrics=lambda epoch: {"AP": values[epoch]}, **settings)
    start = None
    if resume:
        found = checkpoint.load(folder)
        checkpoint.restore(found, trainer.step)
        start = found.progress
    return trainer.fit(start).progress, ending.text


def test_training_ends_with_a_checkpoint_when_patience_does(toy: ModuleType, tmp_path: Path) -> None:
    stopping = EarlyStoppingConfig(patience=2, min_delta=0.01)
    progress, text = fit(toy, tmp_path, [0.2, 0.3, 0.3, 0.305, 0.9], num_epochs=5, early_stopping=stopping)
    assert progress.epoch == 4
    assert text == "stopped early after 4 epochs: AP has not risen by more than 0.01 above 0.3000 in 2 measurements"
    assert checkpoint.load(tmp_path).progress == progress
    assert progress.best == 0.305  # the best model is kept by any gain


def test_a_training_that_gets_better_runs_to_its_end(toy: ModuleType, tmp_path: Path) -> None:
    progress, text = fit(toy, tmp_path, [0.1, 0.1, 0.2], num_epochs=3, early_stopping=EarlyStoppingConfig(patience=2))
    assert (progress.epoch, text) == (3, "training is complete")


def test_counting_goes_on_where_training_does(toy: ModuleType, tmp_path: Path) -> None:
    values, stopping = [0.3, 0.2, 0.2, 0.2, 0.2], EarlyStoppingConfig(patience=3)
    progress, _ = fit(toy, tmp_path, values, num_epochs=2, early_stopping=stopping)
    assert progress.num_stale == 1
    progress, text = fit(toy, tmp_path, values, resume=True, num_epochs=5, early_stopping=stopping)
    assert (progress.epoch, progress.num_stale) == (4, 3)
    assert "stopped early" in text
    again, text = fit(toy, tmp_path, values, resume=True, num_epochs=5, early_stopping=stopping)
    assert again == progress
    assert "stopped early" in text
    further, _ = fit(toy, tmp_path, values, resume=True, num_epochs=5, early_stopping=EarlyStoppingConfig(patience=9))
    assert further.epoch == 5


def test_early_stopping_without_ap_is_refused() -> None:
    with pytest.raises(ConfigError, match="early_stopping: goes by AP, which validate_ap: false does not measure"):
        configuration.validate(TrainConfig, {"batch_size": 1, "early_stopping": {}, "validate_ap": False}, source="test")


def test_ranks_end_together_whatever_each_has_measured(mpirun: Callable[..., Any]) -> None:
    ended = mpirun(2, "stop_early.py", timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["3", "3"]
