from __future__ import annotations

from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.engine.solver import Solver, SolverConfig
from centernet.errors import WeightsError

RATES = (0.1, 0.05, 0.02)


def run(config: SolverConfig, gradients: Any) -> Any:
    """The weight after one update per gradient, at the rates above, starting from ones."""
    weight = nn.Variable((3,), need_grad=True)
    weight.d = np.ones(3, np.float32)
    solver = Solver(config)
    solver.set_parameters({"weight": weight})
    for gradient, rate in zip(gradients, RATES, strict=True):
        weight.g = gradient
        solver.update(rate)
    return weight.d.copy()


@pytest.fixture
def gradients() -> Any:
    return np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)


def moments(gradients: Any) -> Any:
    """(step, first moment, second moment) of Adam after each gradient."""
    m = v = np.zeros(3)
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        yield t, m, v


def test_adam_adds_weight_decay_to_the_gradient(gradients: Any) -> None:
    w, m, v = np.ones(3), np.zeros(3), np.zeros(3)
    for t, (g, rate) in enumerate(zip(gradients, RATES, strict=True), start=1):
        g = g + 0.1 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(run(SolverConfig(weight_decay=0.1), gradients), w, rtol=1e-5)


def test_adamw_shrinks_weights_by_rate_times_decay_apart_from_the_gradient(gradients: Any) -> None:
    w = np.ones(3)
    for (t, m, v), rate in zip(moments(gradients), RATES, strict=True):
        w = w - rate * (np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8) + 0.1 * w)
    np.testing.assert_allclose(run(SolverConfig(name="adamw", weight_decay=0.1), gradients), w, rtol=1e-5)


def test_sgd_keeps_a_momentum_of_steps_taken(gradients: Any) -> None:
    w, velocity = np.ones(3), np.zeros(3)
    for g, rate in zip(gradients, RATES, strict=True):
        velocity = 0.9 * velocity + rate * (g + 0.1 * w)
        w = w - velocity
    np.testing.assert_allclose(run(SolverConfig(name="sgd", weight_decay=0.1), gradients), w, rtol=1e-5)


def test_sgd_without_momentum_is_plain_descent(gradients: Any) -> None:
    expected = 1 - sum(rate * g for g, rate in zip(gradients, RATES, strict=True))
    np.testing.assert_allclose(run(SolverConfig(name="sgd", momentum=0.0), gradients), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_restored_states_continue_exactly(name: Any, gradients: Any) -> None:
    def fresh() -> tuple[Solver, nn.Variable]:
        weight = nn.Variable((3,), need_grad=True)
        weight.d = np.ones(3, np.float32)
        solver = Solver(SolverConfig(name=name))
        solver.set_parameters({"weight": weight})
        return solver, weight

    (one, weight), (other, copy) = fresh(), fresh()
    weight.g = gradients[0]
    one.update(0.1)
    copy.d = weight.d.copy()
    other.restore(one.states(), what="states_0.h5")
    for solver, variable in ((one, weight), (other, copy)):
        variable.g = gradients[1]
        solver.update(0.1)
    np.testing.assert_array_equal(weight.d, copy.d)
    assert int(other.states()["weight"]["t"]) == 2


def test_states_of_another_solver_or_network_are_refused(gradients: Any) -> None:
    weight = nn.Variable((3,), need_grad=True)
    solver = Solver(SolverConfig())
    solver.set_parameters({"weight": weight})
    with pytest.raises(WeightsError, match=r"states_3\.h5: no solver state for 1 parameters, first 'weight'"):
        solver.restore({}, what="states_3.h5")
    with pytest.raises(WeightsError, match=r"states_3\.h5: the solver state of 'weight' is .*'m': \(3,\).*expected"):
        solver.restore({"weight": {"m": np.zeros(3), "t": np.array(0)}}, what="states_3.h5")
