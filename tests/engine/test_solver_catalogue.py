"""Every solver NNabla has can be named, is checked, trains, and goes on from a checkpoint as if nothing had happened."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import nnabla as nn
import nnabla.solvers as S
import numpy as np
import pytest

from centernet import config as configuration
from centernet.engine import checkpoint
from centernet.engine.communicator import Single
from centernet.engine.solver import Solver, SolverConfig, stage_factors
from centernet.engine.solver_catalogue import defaults_of, known_solvers
from centernet.errors import ConfigError

SWITCHED_ON = [(name, {key: True}) for name in known_solvers() for key, default in defaults_of(name).items() if isinstance(default, bool)]
EVERY = [*((name, {}) for name in known_solvers()), *SWITCHED_ON]


def test_all_functions_that_make_a_solver_are_known() -> None:
    functions = {name: value for name, value in vars(S).items() if name[0].isupper() and inspect.isroutine(value)}
    made = [name for name, function in functions.items() if isinstance(function(), S.Solver)]
    assert sorted(made) == list(known_solvers())
    assert {"Adam", "AMSGRAD", "AdaBelief", "Lamb", "Lars", "Nesterov", "Sgd", "SgdW"} <= set(made)


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_a_training_with_any_solver_goes_on_exactly(toy: ModuleType, tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    """Two epochs at once, and one, a checkpoint, and another from it."""
    options = {"solver": SolverConfig(name=name, arguments=arguments, weight_decay=1e-3)}

    def trainer(folder: str) -> Any:
        nn.clear_parameters()
        toy.draw_parameters()
        return toy.make_trainer(Single(), tmp_path / folder, num_epochs=2, save_every=1, step_options=dict(options))

    whole = trainer("parts")
    before = toy.parameter_values()
    whole.fit()
    expected, states = toy.parameter_values(), whole.step.solver.states()
    assert all(np.isfinite(values).all() for values in expected.values())
    assert all((before[key] != expected[key]).any() for key in states)
    for path in (tmp_path / "parts").glob("*_1.*"):  # as if the second epoch had never been
        path.unlink()
    resumed = trainer("parts")
    found = checkpoint.load(tmp_path / "parts")
    assert found.progress.epoch == 1
    checkpoint.restore(found, resumed.step)
    resumed.fit(found.progress)
    for key, values in expected.items():
        np.testing.assert_array_equal(toy.parameter_values()[key], values, err_msg=key)
    for key, arrays in states.items():
        for part, values in arrays.items():
            np.testing.assert_array_equal(resumed.step.solver.states()[key][part], values, err_msg=f"{key} {part}")


@pytest.mark.parametrize("name", ["AdamW", "SgdW"])
def test_decoupled_decay_shrinks_weights_by_rate_times_decay(name: str) -> None:
    weight = nn.Variable((3,), need_grad=True)
    weight.d = np.ones(3, np.float32)
    solver = Solver(SolverConfig(name=name, weight_decay=0.1))
    solver.set_parameters({"weight": weight})
    weight.g = np.full(3, 1e-30, np.float32)
    solver.update(0.01)
    np.testing.assert_allclose(weight.d, 1 - 0.01 * 0.1, rtol=1e-6)


def test_the_short_names_are_nnabla_s_solvers(toy: ModuleType) -> None:
    def trained(**solver: Any) -> dict[str, Any]:
        nn.clear_parameters()
        toy.draw_parameters()
        toy.make_trainer(Single(), None, num_epochs=1, step_options={"solver": SolverConfig(weight_decay=1e-3, **solver)}).fit()
        return dict(toy.parameter_values())

    pairs = [
        ({"name": "adam", "beta1": 0.8}, {"name": "Adam", "arguments": {"beta1": 0.8}}),
        ({"name": "adamw", "epsilon": 1e-6}, {"name": "AdamW", "arguments": {"eps": 1e-6}}),
        ({"name": "sgd", "momentum": 0.7}, {"name": "Momentum", "arguments": {"momentum": 0.7}}),
        ({"name": "sgd", "momentum": 0}, {"name": "Sgd"}),
    ]
    for short, own in pairs:
        one, other = trained(**short), trained(**own)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=f"{short} {name}")


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"name": "adabelief"}, r"test: name: no solver 'adabelief'; did you mean 'AdaBelief'\?"),
        ({"name": "Adam", "arguments": {"beta_1": 0.5}}, r"arguments\.beta_1: Adam has no such argument; did you mean 'beta1'\?"),
        ({"name": "Adam", "arguments": {"beta1": 1.0}}, r"arguments\.beta1: found 1\.0, expected a number from 0 on, below 1"),
        ({"name": "Adam", "arguments": {"eps": True}}, r"arguments\.eps: found True, expected a number above 0"),
        ({"name": "Lamb", "arguments": {"bias_correction": 1}}, r"arguments\.bias_correction: found 1, expected true or false"),
        ({"name": "Lamb", "arguments": {"gamma_u": "10"}}, r"arguments\.gamma_u.*found '10'"),
        ({"name": "Adam", "arguments": {"alpha": 0.1}}, r"arguments\.alpha: the learning rate of every step is that of train\.schedule"),
        ({"name": "AdamW", "arguments": {"wd": 0.1}}, r"arguments\.wd: give weight_decay instead"),
        ({"name": "adam", "arguments": {"beta1": 0.1}}, r"those of adam stand beside its name: beta1, beta2, epsilon"),
        ({"name": "sgd", "beta2": 0.5}, r"test: beta2: is of adam and adamw; sgd takes momentum"),
        ({"name": "adam", "momentum": 0.5}, r"momentum: is of sgd; adam takes beta1, beta2, epsilon"),
        ({"name": "AdaBelief", "beta1": 0.5}, r"beta1: is of adam and adamw; those of AdaBelief stand under arguments"),
    ],
)
def test_what_no_solver_takes_is_refused_with_its_place(tree: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configuration.validate(SolverConfig, tree, source="test")


def test_a_solver_with_arguments_survives_the_resolved_copy() -> None:
    config = SolverConfig(name="AdaBelief", arguments={"beta1": 0.8, "rectify": True}, no_decay=("biases",))
    assert configuration.validate(SolverConfig, configuration.to_tree(config), source="copy") == config


def moved(toy: ModuleType, solver: SolverConfig, **options: Any) -> dict[str, Any]:
    """Change of every parameter in one step of plain descent."""
    nn.clear_parameters()
    toy.draw_parameters()
    before = toy.parameter_values()
    step = toy.make_step(Single(), batch_stat=False, solver=solver)
    step.solver = Solver(solver, **options)
    step.run(next(toy.Loader().epoch(0)).arrays, 1e-2)
    return {name: toy.parameter_values()[name] - values for name, values in before.items() if not name.endswith(("/mean", "/var"))}


def test_biases_and_batch_norm_can_do_without_weight_decay(toy: ModuleType) -> None:
    bare, decayed = (moved(toy, SolverConfig(name="Sgd", weight_decay=decay)) for decay in (0.0, 0.5))
    spared = {"biases": {"two/conv/b"}, "batch_norm": {"norm/bn/beta", "norm/bn/gamma"}}
    for kinds in (("biases",), ("batch_norm",), ("biases", "batch_norm")):
        found = moved(toy, SolverConfig(name="Sgd", weight_decay=0.5, no_decay=kinds))
        without = set().union(*(spared[kind] for kind in kinds))
        for name, change in found.items():
            np.testing.assert_array_equal(change, (bare if name in without else decayed)[name], err_msg=name)


def test_earlier_stages_have_lower_rates(toy: ModuleType) -> None:
    stages = [["one/conv/W"], ["norm/bn/beta", "norm/bn/gamma"]]
    bare = moved(toy, SolverConfig(name="Sgd"))
    found = moved(toy, SolverConfig(name="Sgd", layer_decay=0.5), stages=stages)
    for name, change in found.items():
        factor = {"one": 0.25, "norm": 0.5, "two": 1.0}[name.partition("/")[0]]
        np.testing.assert_allclose(change, factor * bare[name], rtol=1e-2, atol=1e-6, err_msg=name)
    assert stage_factors(0.5, [["a"], ["b", "c"]]) == {"a": 0.25, "b": 0.5, "c": 0.5}
