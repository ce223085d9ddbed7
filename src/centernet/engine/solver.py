"""The solver, its groups of parameters, and its states as plain arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Literal

import nnabla as nn
import numpy as np
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from centernet.engine.patterns import matching
from centernet.engine.solver_catalogue import check_arguments, known_solvers, make_solver
from centernet.errors import STRICT, ConfigError, WeightsError, did_you_mean
from centernet.structures import Array

SHORT = {"adam": ("beta1", "beta2", "epsilon"), "adamw": ("beta1", "beta2", "epsilon"), "sgd": ("momentum",)}
WITHOUT_DECAY = {"biases": ("b",), "batch_norm": ("beta", "gamma")}  # last part of a parameter's name
STEPS = "t"  # the entry of a parameter's state that counts its updates


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GroupConfig:
    """Parameters whose names match `pattern`: their learning rate is `lr_factor` times the others'; 0 holds them where they are.

    weight_decay: instead of the solver's; null: the solver's.
    """

    pattern: str
    lr_factor: Annotated[float, Field(ge=0)] = 1.0
    weight_decay: Annotated[float, Field(ge=0)] | None = None


def _known(name: str) -> str:
    if name not in SHORT and name not in known_solvers():
        raise ValueError(f"no solver '{name}'{did_you_mean(name, (*SHORT, *known_solvers()))}")
    return name


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SolverConfig:
    """Which solver: one of NNabla's under its own name (`AdaBelief`), with NNabla's arguments of it; or adam, adamw, sgd.

    beta1, beta2, epsilon: of adam and adamw; momentum: of sgd. arguments: of all others.
    weight_decay: added to the gradient just before the update, as the predecessor does, or decoupled where the solver does so
    (adamw, AdamW, SgdW: weights shrink by learning rate * weight_decay a step, Loshchilov and Hutter 2019, arXiv:1711.05101).
    no_decay: kinds of parameters without weight decay, by the last part of their names.
    layer_decay: each stage of the backbone has the learning rate of the next one times this, the last one that of neck and heads
    times this (Clark et al. 2020, arXiv:2003.10555, section 3.1; there by layer).
    groups: parameters with settings of their own; one that several patterns match belongs to the first of them. A group's own
    weight_decay goes before no_decay.
    """

    name: Annotated[str, AfterValidator(_known)] = "adam"
    arguments: dict[str, bool | int | float] = Field(default_factory=dict)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    no_decay: tuple[Literal["biases", "batch_norm"], ...] = ()
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    groups: tuple[GroupConfig, ...] = ()

    def __post_init__(self) -> None:
        own = SHORT.get(self.name, ())
        if own and self.arguments:
            raise ValueError(
                f"arguments: found {', '.join(self.arguments)}, expected none: "
                f"they are of NNabla's solvers by their own names, {', '.join(known_solvers())}; "
                f"those of {self.name} stand beside its name: {', '.join(own)}"
            )
        defaults = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "momentum": 0.9}
        foreign = next((key for key, default in defaults.items() if key not in own and getattr(self, key) != default), None)
        if foreign:
            owners = " and ".join(name for name, keys in SHORT.items() if foreign in keys)
            where = f"{self.name} takes {', '.join(own)}" if own else f"those of {self.name} stand under arguments"
            raise ValueError(f"{foreign}: is of {owners}; {where}")
        if not own:
            check_arguments(self.name, self.arguments)


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


def is_without_decay(name: str, kinds: Sequence[str]) -> bool:
    """Whether a parameter is of one of these kinds, keys of WITHOUT_DECAY."""
    return any(name.rpartition("/")[2] in WITHOUT_DECAY[kind] for kind in kinds)


def stage_factors(layer_decay: float, stages: Sequence[Collection[str]]) -> dict[str, float]:
    """The factor of the learning rate of every parameter in a stage; the last stage's is `layer_decay`."""
    return {name: layer_decay ** (len(stages) - index) for index, names in enumerate(stages) for name in names}


class Solver:
    """NNabla solvers with their weight decay, one for each group of parameters that has parameters to train.

    Args:
        stages: names of the backbone's parameters, stage by stage from the image on; for `layer_decay`.
    """

    def __init__(self, config: SolverConfig, *, stages: Sequence[Collection[str]] = ()) -> None:
        self.config = config
        self._factors = stage_factors(config.layer_decay, stages)
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
            for (lr_factor, decay), trained in self._alike(group, [name for name in names if name not in frozen]).items():
                self._cores.append(_Core(core=_make(config), lr_factor=lr_factor, weight_decay=decay))
                self._cores[-1].core.set_parameters({name: parameters[name] for name in trained})

    def _alike(self, group: GroupConfig, names: Sequence[str]) -> dict[tuple[float, float], list[str]]:
        """The names of a group by their factor of the learning rate and their weight decay."""
        parts: dict[tuple[float, float], list[str]] = {}
        for name in names:
            decay = group.weight_decay
            if decay is None:
                decay = 0.0 if is_without_decay(name, self.config.no_decay) else self.config.weight_decay
            parts.setdefault((group.lr_factor * self._factors.get(name, 1.0), decay), []).append(name)
        return parts

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
    if config.name in ("adam", "adamw"):
        arguments = {"beta1": config.beta1, "beta2": config.beta2, "eps": config.epsilon}
        return make_solver({"adam": "Adam", "adamw": "AdamW"}[config.name], arguments)
    if config.name == "sgd":
        return make_solver("Momentum", {"momentum": config.momentum}) if config.momentum else make_solver("Sgd", {})
    return make_solver(config.name, config.arguments)


def _arrays(state: Any) -> dict[str, Array]:
    arrays: dict[str, Array] = {key: variable.d.copy() for key, variable in state.pstate.items()}
    return {**arrays, STEPS: np.array(state.t, np.int64)}


def _check(name: str, own: Any, found: Mapping[str, Array], *, what: str) -> None:
    expected = {**{key: tuple(variable.shape) for key, variable in own.pstate.items()}, STEPS: ()}
    shapes = {key: np.shape(array) for key, array in found.items()}
    if shapes != expected:
        raise WeightsError(f"{what}: the solver state of '{name}' is {shapes}, expected {expected}; it is of another network or solver")
