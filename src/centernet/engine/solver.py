"""The solver, and its states as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import nnabla as nn
import nnabla.solvers as S
import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT, WeightsError
from centernet.structures import Array

STEPS = "t"  # the entry of a parameter's state that counts its updates


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SolverConfig:
    """Which solver. beta1, beta2, epsilon: of adam and adamw; momentum: of sgd.

    weight_decay: added to the gradient just before the update (adam, sgd), as the predecessor does, or decoupled
    (adamw: weights shrink by learning rate * weight_decay a step, Loshchilov and Hutter 2019, arXiv:1711.05101).
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9


class Solver:
    """An NNabla solver with its weight decay; `core` is NNabla's own."""

    def __init__(self, config: SolverConfig) -> None:
        self.config = config
        self.core = _make(config)
        self._names: tuple[str, ...] = ()  # NNabla's own order is not that of the parameters

    def set_parameters(self, parameters: Mapping[str, nn.Variable]) -> None:
        """Train these, from fresh states."""
        self._names = tuple(parameters)
        self.core.set_parameters(dict(parameters))

    def update(self, learning_rate: float) -> None:
        """One step from the gradients the parameters hold."""
        self.core.set_learning_rate(learning_rate)
        if self.config.weight_decay:
            self.core.weight_decay(self.config.weight_decay)
        self.core.update()

    def states(self) -> dict[str, dict[str, Array]]:
        """Parameter name -> {`mean`, `var`, ... and the number of updates `t`}, copied, in the parameters' order."""
        states = self.core.get_states()
        return {name: _arrays(states[name]) for name in self._names if name in states}

    def restore(self, states: Mapping[str, Mapping[str, Array]], *, what: str) -> None:
        """Continue from states as `states` gave them.

        Raises:
            WeightsError: they are of other parameters, shapes, or of another solver; `what` names their origin.
        """
        own = self.core.get_states()
        missing = sorted(set(own) - set(states))
        if missing:
            raise WeightsError(f"{what}: no solver state for {len(missing)} parameters, first '{missing[0]}'; it is of another network")
        for name, state in own.items():
            _check(name, state, states[name], what=what)
            for key, variable in state.pstate.items():
                variable.d = states[name][key]
            state.t = int(states[name][STEPS])
        self.core.set_states(own)


def _make(config: SolverConfig) -> Any:
    if config.name == "adam":
        return S.Adam(1e-3, config.beta1, config.beta2, config.epsilon)
    if config.name == "adamw":
        # NNabla decays by (rate / initial rate) * weight_decay: with an initial rate of 1 that is rate * weight_decay.
        return S.AdamW(1.0, config.beta1, config.beta2, config.epsilon, wd=0.0)
    return S.Momentum(1e-3, config.momentum) if config.momentum else S.Sgd(1e-3)


def _arrays(state: Any) -> dict[str, Array]:
    arrays: dict[str, Array] = {key: variable.d.copy() for key, variable in state.pstate.items()}
    return {**arrays, STEPS: np.array(state.t, np.int64)}


def _check(name: str, own: Any, found: Mapping[str, Array], *, what: str) -> None:
    expected = {**{key: tuple(variable.shape) for key, variable in own.pstate.items()}, STEPS: ()}
    shapes = {key: np.shape(array) for key, array in found.items()}
    if shapes != expected:
        raise WeightsError(f"{what}: the solver state of '{name}' is {shapes}, expected {expected}; it is of another network or solver")
