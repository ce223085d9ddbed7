"""The moving average of the parameters: what it is, what is measured with it, and how it goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet import config as configuration
from centernet.engine import checkpoint
from centernet.engine.communicator import Single
from centernet.engine.gradients import is_plain_cpu
from centernet.engine.moving_average import MovingAverage, MovingAverageConfig
from centernet.errors import ConfigError, WeightsError
from centernet.weights.store import read_parameters

FROZEN = {"one/conv/W", "norm/bn/beta", "norm/bn/gamma", "norm/bn/mean", "norm/bn/var"}


def steps(toy: ModuleType, average: MovingAverage | None, **options: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The step, and the parameters before training and after each of four steps."""
    nn.clear_parameters()
    toy.draw_parameters()
    step = toy.make_step(Single(), average=average, **options)
    values = [toy.parameter_values()]
    for batch in toy.Loader().epoch(0):
        step.run(batch.arrays, 1e-2)
        values.append(toy.parameter_values())
    return step, values


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("warmup", [False, True])
def test_it_is_the_mean_of_all_steps_with_falling_weights(
    toy: ModuleType, monkeypatch: pytest.MonkeyPatch, warmup: bool, on_device: bool
) -> None:
    if on_device:
        monkeypatch.setattr("centernet.engine.step.is_plain_cpu", lambda context: not is_plain_cpu(context))
    average = MovingAverage(MovingAverageConfig(decay=0.7, warmup=warmup))
    _, values = steps(toy, average)
    for name, found in average.values().items():
        expected = values[0][name].astype(np.float64)
        for t, after in enumerate(values[1:], start=1):
            decay = min(0.7, (1 + t) / (10 + t)) if warmup else 0.7
            expected = decay * expected + (1 - decay) * after[name]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7, err_msg=name)
    assert {"norm/bn/mean", "norm/bn/var"} <= set(average.values())


def test_training_goes_on_bit_for_bit_as_without(toy: ModuleType) -> None:
    _, expected = steps(toy, None)
    _, found = steps(toy, MovingAverage(MovingAverageConfig(decay=0.5)))
    for name in expected[-1]:
        np.testing.assert_array_equal(found[-1][name], expected[-1][name], err_msg=name)


def test_what_is_frozen_is_its_own_average_to_the_bit(toy: ModuleType) -> None:
    average = MovingAverage(MovingAverageConfig())
    _, values = steps(toy, average, batch_stat=False, frozen=FROZEN)
    for name in FROZEN:
        np.testing.assert_array_equal(average.values()[name], values[0][name], err_msg=name)


def test_a_skipped_step_is_not_taken_in(toy: ModuleType) -> None:
    nn.clear_parameters()
    toy.draw_parameters()
    average = MovingAverage(MovingAverageConfig())
    step = toy.make_step(Single(), scaling=toy.LossScalingConfig(dynamic=True), average=average)
    reports = [step.run(batch.arrays, 1e-2) for batch in toy.Loader(poison=(0, 1, 0)).epoch(0)]
    assert [report.is_skipped for report in reports] == [False, True, False, False]
    assert average.num_updates == 3


def test_parameters_hold_the_average_only_inside_even_where_that_fails(toy: ModuleType) -> None:
    average = MovingAverage(MovingAverageConfig(decay=0.5))
    step, values = steps(toy, average)

    def measure() -> None:
        with step.averaged():
            for name, expected in average.values().items():
                np.testing.assert_array_equal(toy.parameter_values()[name], expected, err_msg=name)
            raise RuntimeError("validation")

    with pytest.raises(RuntimeError, match="validation"):
        measure()
    for name, expected in values[-1].items():
        np.testing.assert_array_equal(toy.parameter_values()[name], expected, err_msg=name)


def test_the_average_is_measured_kept_as_the_best_and_written_and_training_goes_on_exactly(toy: ModuleType, tmp_path: Path) -> None:
    measured: list[dict[str, Any]] = []

    def metrics(epoch: int) -> dict[str, float]:
        measured.append(toy.parameter_values())
        return {"AP": float(epoch)}

    def trainer(folder: str) -> tuple[Any, MovingAverage]:
        nn.clear_parameters()
        toy.draw_parameters()
        average = MovingAverage(MovingAverageConfig(decay=0.9))
        options = {"metrics": metrics, "validate_every": 1, "save_every": 1, "step_options": {"average": average}}
        return toy.make_trainer(Single(), tmp_path / folder, num_epochs=3, **options), average

    whole, average = trainer("parts")
    whole.fit()
    expected, averaged = toy.parameter_values(), average.values()
    folder = tmp_path / "parts"
    assert sorted(path.name for path in folder.glob("trained_*")) == ["trained_0.h5", "trained_1.h5", "trained_2.h5"]
    for file, values in (("params_2.h5", averaged), ("params_best.h5", averaged), ("trained_2.h5", expected)):
        written = read_parameters(folder / file).parameters
        for name in values:
            np.testing.assert_array_equal(written[name], values[name], err_msg=f"{file} {name}")
            np.testing.assert_array_equal(measured[-1][name], averaged[name], err_msg=name)
    for path in folder.glob("*_2.*"):  # as if the last epoch had never been
        path.unlink()
    resumed, again = trainer("parts")
    found = checkpoint.load(folder)
    checkpoint.restore(found, resumed.step)
    resumed.fit(found.progress)
    assert again.num_updates == average.num_updates == 12
    for name in expected:
        np.testing.assert_array_equal(toy.parameter_values()[name], expected[name], err_msg=name)
        np.testing.assert_array_equal(again.values()[name], averaged[name], err_msg=name)


def test_training_can_go_on_without_the_average_it_had_and_with_one_it_had_not(toy: ModuleType, tmp_path: Path) -> None:
    def trained(number: int, average: MovingAverage | None) -> Any:
        nn.clear_parameters()
        toy.draw_parameters()
        trainer = toy.make_trainer(Single(), tmp_path, num_epochs=number, save_every=1, step_options={"average": average})
        start = None
        if number > 1:
            found = checkpoint.load(tmp_path)
            checkpoint.restore(found, trainer.step)
            start = found.progress
        trainer.fit(start)
        return toy.parameter_values()

    trained(1, MovingAverage(MovingAverageConfig()))
    trained(2, None)
    assert checkpoint.load(tmp_path).average is None
    late = MovingAverage(MovingAverageConfig())
    trained(3, late)
    assert late.num_updates == 4


def test_an_average_of_another_network_is_refused(toy: ModuleType) -> None:
    average = MovingAverage(MovingAverageConfig())
    average.restore({"one/conv/W": np.zeros(3, np.float32)}, 5, what="params_0.h5")
    with pytest.raises(WeightsError, match=r"params_0\.h5: the moving average of '.*' is missing or is not"):
        steps(toy, average)


def test_a_decay_of_one_would_average_nothing_and_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"test: decay: found 1\.0.*less than 1"):
        configuration.validate(MovingAverageConfig, {"decay": 1.0}, source="test")


def test_two_processes_have_one_average_that_of_one_process(mpirun: Callable[..., Any], tmp_path: Path) -> None:
    for number in (1, 2):
        ended = mpirun(number, "train_and_save.py", tmp_path / f"{number}.npz", "average")
        assert ended.returncode == 0, ended.stderr
    one, two = (np.load(tmp_path / f"{number}.npz") for number in (1, 2))
    averaged = [name for name in one.files if name.startswith("average of ")]
    assert averaged
    for name in averaged:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-6, err_msg=name)
