"""The solver, its groups of parameters, and its states as plain arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Literal

import nnabla as nn
import nnabla.solvers as S
import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.engine.patterns import matching
from centernet.errors import STRICT, ConfigError, WeightsError
from centernet.structures import Array

STEPS = "t"  # the entry of a parameter's state that counts its updates


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GroupConfig:
    """Parameters whose names match `pattern`: their learning rate is `lr_factor` times the others'; 0 holds them where they are.

    weight_decay: instead of the solver's; null: the solver's.
    """

    pattern: str
    lr_factor: Annotated[float, Field(ge=0)] = 1.0
    weight_decay: Annotated[float, Field(ge=0)] | None = None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SolverConfig:
    """Which solver. beta1, beta2, epsilon: of adam and adamw; momentum: of sgd.

    weight_decay: added to the gradient just before the update (adam, sgd), as the predecessor does, or decoupled
    (adamw: weights shrink by learning rate * weight_decay a step, Loshchilov and Hutter 2019, arXiv:1711.05101).
    groups: parameters with settings of their own; one that several patterns match belongs to the first of them.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    groups: tuple[GroupConfig, ...] = ()


def grouped(groups: Sequence[GroupConfig], names: Sequence[str]) -> list[list[str]]:
    """The names that belong to each group, in their order, and last those that belong to none.

    Raises:
        ConfigError: a pattern matches no name, or none that no earlier one matches.
    """
    rest = list(names)
    found = []
    for index, group in enumerate(groups):
        key = f"train.solver.groups.{index}.pattern"
        matched = set(matching(group.pattern, names, key=key))
        own = [name for name in rest if name in matched]
        if not own:
            raise ConfigError(f"{key}: all {len(matched)} parameters that '{group.pattern}' matches belong to earlier groups; put it first")
        found.append(own)
        rest = [name for name in rest if name not in matched]
    return [*found, rest]


class Solver:
    """NNabla solvers with their weight decay, one for each group of parameters that has parameters to train."""

    def __init__(self, config: SolverConfig) -> None:
        self.config = config
        self._cores: list[_Core] = []
        self._names: tuple[str, ...] = ()  # NNabla's own order is not that of the parameters

    def set_parameters(self, parameters: Mapping[str, nn.Variable], *, frozen: Collection[str] = ()) -> None:
        """Train these but the frozen ones, from fresh states.

        Raises:
            ConfigError: see `grouped`, which is asked about the frozen ones too.
        """
        config = self.config
        rest = GroupConfig(pattern="*")
        self._names = tuple(name for name in parameters if name not in frozen)
        self._cores = []
        for group, names in zip((*config.groups, rest), grouped(config.groups, list(parameters)), strict=True):
            trained = {name: parameters[name] for name in names if name not in frozen}
            if trained:
                decay = config.weight_decay if group.weight_decay is None else group.weight_decay
                self._cores.append(_Core(core=_make(config), lr_factor=group.lr_factor, weight_decay=decay))
                self._cores[-1].core.set_parameters(trained)

    def update(self, learning_rate: float) -> None:
        """One step from the gradients the parameters hold."""
        for part in self._cores:
            part.core.set_learning_rate(learning_rate * part.lr_factor)
            if part.weight_decay:
                part.core.weight_decay(part.weight_decay)
            part.core.update()

    def zero_grad(self) -> None:
        """Mark all gradients as zero."""
        for part in self._cores:
            part.core.zero_grad()

    def scale_grad(self, factor: float) -> None:
        """Multiply all gradients."""
        for part in self._cores:
            part.core.scale_grad(factor)

    def states(self) -> dict[str, dict[str, Array]]:
        """Parameter name -> {`mean`, `var`, ... and the number of updates `t`}, copied, in the parameters' order."""
        states = {name: state for part in self._cores for name, state in part.core.get_states().items()}
        return {name: _arrays(states[name]) for name in self._names if name in states}

    def restore(self, states: Mapping[str, Mapping[str, Array]], *, what: str) -> None:
        """Continue from states as `states` gave them.

        Raises:
            WeightsError: they are of other parameters, shapes, or of another solver; `what` names their origin.
        """
        missing = sorted(set(self._names) - set(states))
        if missing:
            raise WeightsError(
                f"{what}: no solver state for {len(missing)} parameters, first '{missing[0]}'; "
                "it is of another network, or they were frozen then"
            )
        for part in self._cores:
            own = part.core.get_states()
            for name, state in own.items():
                _check(name, state, states[name], what=what)
                for key, variable in state.pstate.items():
                    variable.d = states[name][key]
                state.t = int(states[name][STEPS])
            part.core.set_states(own)


@plain_dataclass(frozen=True, kw_only=True)
class _Core:
    """NNabla's own solver of one group."""

    core: Any
    lr_factor: float
    weight_decay: float


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
