"""Groups of parameters with learning rates of their own, and parameters that are not trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.engine import checkpoint
from centernet.engine.communicator import Single
from centernet.engine.gradients import is_plain_cpu
from centernet.engine.solver import GroupConfig, Solver, SolverConfig, grouped
from centernet.errors import ConfigError, WeightsError

RATE = 1e-2
FIRST_LAYER = {"one/conv/W", "norm/bn/beta", "norm/bn/gamma", "norm/bn/mean", "norm/bn/var"}
EVERY = [{}, {"name": "adamw"}, {"name": "sgd"}]


def group(pattern: str, **options: Any) -> GroupConfig:
    return GroupConfig(pattern=pattern, **options)


def test_a_parameter_belongs_to_the_first_group_that_matches() -> None:
    names = ["a/W", "a/b", "c/W", "d/W"]
    assert grouped([group("a/W"), group("a/*"), group("c/*")], names) == [["a/W"], ["a/b"], ["c/W"], ["d/W"]]
    assert grouped([], names) == [names]


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (["a/*", "b/*"], r"train\.solver\.groups\.1\.pattern: 'b/\*' matches no parameter of the network; near it: .*a/\*"),
        (["*", "a/*"], r"train\.solver\.groups\.1\.pattern: all 2 parameters that 'a/\*' matches belong to earlier groups; put it first"),
    ],
)
def test_a_group_without_parameters_is_refused(patterns: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        grouped([group(pattern) for pattern in patterns], ["a/W", "a/b", "c/W"])


def train(toy: ModuleType, solver: SolverConfig, *, rate: float = RATE, **options: Any) -> tuple[list[float], dict[str, Any], Any]:
    """The total loss of eight steps, and what the parameters and solver states are after them."""
    nn.clear_parameters()
    toy.draw_parameters()
    step = toy.make_step(Single(), batch_stat=False, solver=solver, **options)
    totals = [step.run(batch.arrays, rate).total for epoch in (0, 1) for batch in toy.Loader().epoch(epoch)]
    return totals, toy.parameter_values(), step.solver.states()


def assert_equal(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize("options", EVERY)
def test_a_factor_is_that_of_the_learning_rate(toy: ModuleType, options: dict[str, Any]) -> None:
    """All parameters in one group of half the rate train as without groups at half the rate; powers of two are exact."""
    plain = SolverConfig(weight_decay=1e-3, **options)
    _, expected, states = train(toy, plain, rate=RATE / 2)
    halved = SolverConfig(weight_decay=1e-3, groups=(group("*", lr_factor=0.5),), **options)
    _, found, found_states = train(toy, halved)
    assert_equal(found, expected)
    assert list(found_states) == list(states)
    for name, arrays in states.items():
        assert_equal(found_states[name], arrays)


@pytest.mark.parametrize("options", EVERY)
def test_groups_that_say_nothing_new_change_nothing(toy: ModuleType, options: dict[str, Any]) -> None:
    _, expected, _ = train(toy, SolverConfig(weight_decay=1e-3, **options))
    _, found, _ = train(toy, SolverConfig(weight_decay=1e-3, groups=(group("one/*"), group("*/beta", weight_decay=1e-3)), **options))
    assert_equal(found, expected)


def test_each_group_has_its_own_factor_and_decay(toy: ModuleType) -> None:
    """Plain descent for one step: what it did is what the gradient and the decay say."""

    def moved(solver: SolverConfig) -> dict[str, Any]:
        nn.clear_parameters()
        toy.draw_parameters()
        before = toy.parameter_values()
        step = toy.make_step(Single(), batch_stat=False, solver=solver)
        step.run(next(toy.Loader().epoch(0)).arrays, RATE)
        return {name: toy.parameter_values()[name] - values for name, values in before.items()}

    plain = {"name": "sgd", "momentum": 0.0}
    bare = moved(SolverConfig(**plain))
    nn.clear_parameters()
    toy.draw_parameters()
    start = toy.parameter_values()
    found = moved(SolverConfig(**plain, weight_decay=0.5, groups=(group("two/*", lr_factor=4, weight_decay=0.0),)))
    for name in bare:
        if name.endswith(("/mean", "/var")):
            continue
        expected = 4 * bare[name] if name.startswith("two/") else bare[name] - RATE * 0.5 * start[name]
        np.testing.assert_allclose(found[name], expected, rtol=1e-3, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("on_device", [False, True])
def test_frozen_parameters_stay_byte_for_byte_and_the_loss_falls(toy: ModuleType, monkeypatch: pytest.MonkeyPatch, on_device: bool) -> None:
    if on_device:
        monkeypatch.setattr("centernet.engine.step.is_plain_cpu", lambda context: not is_plain_cpu(context))
    nn.clear_parameters()
    toy.draw_parameters()
    before = toy.parameter_values()
    totals, after, states = train(toy, SolverConfig(), rate=0.05, frozen=FIRST_LAYER)
    for name, values in before.items():
        assert (values == after[name]).all() == (name in FIRST_LAYER), name
    assert set(states) == set(before) - FIRST_LAYER
    assert np.mean(totals[4:]) < np.mean(totals[:4])


@pytest.mark.parametrize("options", EVERY)
def test_a_factor_of_zero_is_as_good_as_frozen(toy: ModuleType, options: dict[str, Any]) -> None:
    """But for the running statistics, which no solver moves and this training holds for all."""
    _, frozen, _ = train(toy, SolverConfig(weight_decay=1e-3, **options), frozen=FIRST_LAYER)
    groups = (group("one/*", lr_factor=0), group("norm/*", lr_factor=0))
    _, found, _ = train(toy, SolverConfig(weight_decay=1e-3, groups=groups, **options))
    assert_equal(found, frozen)


def test_a_group_whose_parameters_are_all_frozen_is_allowed(toy: ModuleType) -> None:
    _, expected, _ = train(toy, SolverConfig(), frozen=FIRST_LAYER)
    _, found, _ = train(toy, SolverConfig(groups=(group("one/*", lr_factor=0.1),)), frozen=FIRST_LAYER)
    assert_equal(found, expected)


def test_resuming_with_groups_and_frozen_parameters_goes_on_exactly(toy: ModuleType, tmp_path: Path) -> None:
    options = {"solver": SolverConfig(groups=(group("two/*", lr_factor=0.25),)), "batch_stat": False, "frozen": FIRST_LAYER}

    def trainer(folder: str, num_epochs: int) -> Any:
        nn.clear_parameters()
        toy.draw_parameters()
        return toy.make_trainer(Single(), tmp_path / folder, num_epochs=num_epochs, save_every=1, step_options=dict(options))

    whole = trainer("whole", 3)
    whole.fit()
    expected, states = toy.parameter_values(), whole.step.solver.states()
    first = trainer("parts", 3)
    first.fit()
    for path in (tmp_path / "parts").glob("*_2.*"):  # as if the last epoch had never been
        path.unlink()
    last = trainer("parts", 3)
    last_checkpoint = checkpoint.load(tmp_path / "parts")
    assert last_checkpoint.progress.epoch == 2
    checkpoint.restore(last_checkpoint, last.step)
    last.fit(last_checkpoint.progress)
    assert_equal(toy.parameter_values(), expected)
    for name, arrays in states.items():
        assert_equal(last.step.solver.states()[name], arrays)


def test_states_of_a_training_in_which_more_was_frozen_are_refused(toy: ModuleType) -> None:
    _, _, states = train(toy, SolverConfig(), frozen=FIRST_LAYER)
    solver = Solver(SolverConfig())
    solver.set_parameters(nn.get_parameters())
    with pytest.raises(WeightsError, match=r"states_0\.h5: no solver state for 3 parameters, .*, or they were frozen then"):
        solver.restore(states, what="states_0.h5")


def test_two_processes_with_groups_and_frozen_parameters_equal_one(mpirun: Callable[..., Any], tmp_path: Path) -> None:
    for number in (1, 2):
        ended = mpirun(number, "train_and_save.py", tmp_path / f"{number}.npz", "in_parts")
        assert ended.returncode == 0, ended.stderr
    one, two = (np.load(tmp_path / f"{number}.npz") for number in (1, 2))
    for name in one.files:
        if name in FIRST_LAYER:
            np.testing.assert_array_equal(two[name], one[name], err_msg=name)
        np.testing.assert_allclose(two[name], one[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_a_training_in_parts_stopped_by_a_signal_resumes_bit_for_bit_in_two_processes(mpirun: Callable[..., Any], tmp_path: Path) -> None:
    ended = mpirun(2, "stop_and_resume.py", tmp_path, "in_parts")
    assert ended.returncode == 0, ended.stderr
    assert "equal" in ended.stdout
