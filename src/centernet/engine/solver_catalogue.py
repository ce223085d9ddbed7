"""Every solver NNabla has: its name, its arguments and their ranges, as its own signature has them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import nnabla.solvers as S

from centernet.errors import did_you_mean

RATES = ("alpha", "lr", "eta")  # what the signatures call the learning rate
DECAY = "wd"
BELOW_ONE = ("beta1", "beta2", "decay", "momentum", "gamma")
ABOVE_ZERO = ("eps", "coefficient")


@cache
def known_solvers() -> tuple[str, ...]:
    """The names of NNabla's solvers."""
    functions = {name: value for name, value in vars(S).items() if name[:1].isupper() and inspect.isroutine(value)}
    return tuple(sorted(name for name, function in functions.items() if set(RATES) & set(inspect.signature(function).parameters)))


def defaults_of(name: str) -> dict[str, float | bool]:
    """A solver's arguments and their defaults; without the learning rate and weight decay, which every step sets."""
    return {key: value for key, value in _signature(name).items() if key not in (*RATES, DECAY)}


def check_arguments(name: str, arguments: Mapping[str, float | bool]) -> None:
    """See that a solver takes these arguments.

    Raises:
        ValueError: one is unknown, of another type, or out of range; the text says what fits.
    """
    defaults = defaults_of(name)
    for key, value in arguments.items():
        if key in RATES:
            raise ValueError(f"arguments.{key}: the learning rate of every step is that of train.schedule; give base_lr there")
        if key == DECAY:
            raise ValueError(f"arguments.{key}: give weight_decay instead, beside arguments")
        if key not in defaults:
            raise ValueError(f"arguments.{key}: {name} has no such argument{did_you_mean(key, defaults)}")
        expected = _expected(key, defaults[key], value)
        if expected:
            raise ValueError(f"arguments.{key}: found {value!r}, expected {expected}")


def make_solver(name: str, arguments: Mapping[str, float | bool]) -> Any:
    """NNabla's solver, without a weight decay of its own.

    Those that decay by (rate / first rate) * decay begin with a rate of 1, so that weights shrink by rate * decay a step.
    """
    signature = _signature(name)
    first = {key: 1.0 for key in signature if key in RATES and DECAY in signature}
    none = {key: 0.0 for key in signature if key == DECAY}
    return getattr(S, name)(**first, **none, **arguments)


def _signature(name: str) -> dict[str, Any]:
    return {key: parameter.default for key, parameter in inspect.signature(getattr(S, name)).parameters.items()}


def _expected(key: str, default: float | bool, value: float | bool) -> str:
    """What fits, where a value does not."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    number = math.nan if isinstance(value, bool) or not isinstance(value, (int, float)) else float(value)
    if key in BELOW_ONE:
        return "" if 0 <= number < 1 else "a number from 0 on, below 1"
    if key in ABOVE_ZERO:
        return "" if 0 < number < math.inf else "a number above 0"
    return "" if 0 <= number < math.inf else "a number from 0 on"
