"""An exponential moving average of the parameters beside those that are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import nnabla as nn
import nnabla.functions as F
import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.engine.communicator import Communicator
from centernet.engine.context import in_float
from centernet.engine.gradients import joined
from centernet.errors import STRICT, WeightsError
from centernet.structures import Array

YOUNG = 10  # after t steps the decay is at most (1 + t) / (YOUNG + t), so that initial values are soon forgotten


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MovingAverageConfig:
    """average = decay * average + (1 - decay) * parameter after every step (Polyak and Juditsky 1992; Tarvainen and Valpola 2017,
    arXiv:1703.01780), of batch norm's running statistics too.

    warmup: begin with a lower decay, (1 + t) / (10 + t) after t steps.
    """

    decay: Annotated[float, Field(gt=0, lt=1)] = 0.999
    warmup: bool = True


class MovingAverage:
    """The average of all parameters of a network, running statistics among them; where they do not move, exactly what they are.

    It stays on the device, in one array. All ranks compute the same from the same parameters.
    """

    def __init__(self, config: MovingAverageConfig) -> None:
        self.config = config
        self.num_updates = 0
        self._parameters: dict[str, nn.Variable] = {}
        self._joined: nn.Variable | None = None
        self._average = nn.Variable((0,))
        self._pending: tuple[Mapping[str, Array], str] | None = None

    def begin(self, parameters: Mapping[str, nn.Variable], communicator: Communicator) -> None:
        """Average these from now on, from what they are or what was restored; collective: rank 0's values count."""
        self._parameters = dict(parameters)
        self._joined = joined([parameter.data for parameter in parameters.values()])
        self._average = nn.Variable(self._joined.shape)
        own = ({name: parameter.d for name, parameter in parameters.items()}, "the network")
        (values, what), self._pending = self._pending or own, None
        flat = _flat(values, parameters, what=what)
        if communicator.size > 1:
            self.num_updates, flat = communicator.broadcast((self.num_updates, flat))
        self._average.d = flat

    def update(self) -> None:
        """Take a step's parameters in."""
        assert self._joined is not None
        self.num_updates += 1
        decay = self.config.decay
        if self.config.warmup:
            decay = min(decay, (1 + self.num_updates) / (YOUNG + self.num_updates))
        average = self._average.data
        with nn.context_scope(in_float(nn.get_current_context())):
            self._joined.forward(clear_buffer=True)
            difference = F.sub2(self._joined.data, average)
            average.copy_from(F.add2(average, F.mul_scalar(difference, 1 - decay)))

    def values(self) -> dict[str, Array]:
        """Name -> average; empty before `begin`."""
        flat, start, values = self._average.d, 0, {}
        for name, parameter in self._parameters.items():
            values[name] = flat[start : start + parameter.size].reshape(parameter.shape).copy()
            start += parameter.size
        return values

    def restore(self, values: Mapping[str, Array], num_updates: int, *, what: str) -> None:
        """Continue from `values` as they were after so many updates; at once, or when `begin` is called.

        Raises:
            WeightsError: one is missing or has another shape; `what` names their origin.
        """
        self.num_updates = num_updates
        if self._parameters:
            self._average.d = _flat(values, self._parameters, what=what)
        else:
            self._pending = (values, what)

    def variables(self) -> dict[str, nn.Variable]:
        """The average as one variable, to compare over ranks."""
        return {"moving average": self._average} if self._parameters else {}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the parameters hold the average; afterwards, what they held."""
        kept: dict[str, Any] = {name: parameter.d.copy() for name, parameter in self._parameters.items()}
        try:
            for name, values in self.values().items():
                self._parameters[name].d[...] = values
            yield
        finally:
            for name, values in kept.items():
                self._parameters[name].d[...] = values


def _flat(values: Mapping[str, Array], parameters: Mapping[str, nn.Variable], *, what: str) -> Array:
    """The values one after another, (n,)."""
    for name, parameter in parameters.items():
        if name not in values or values[name].shape != parameter.shape:
            raise WeightsError(f"{what}: the moving average of '{name}' is missing or is not {parameter.shape}; it is of another network")
    return np.concatenate([np.ravel(values[name]) for name in parameters])
