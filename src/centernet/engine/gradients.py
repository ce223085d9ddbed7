"""The gradients of one step as a whole: cleared, summed over ranks, measured, scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import nnabla as nn
import nnabla.functions as F
import numpy as np

from centernet.engine.communicator import Communicator
from centernet.engine.context import in_float
from centernet.engine.solver import Solver
from centernet.structures import Array


class Gradients(Protocol):
    """What a step does with all gradients, and with batch norm's running statistics, at once."""

    def clear(self) -> None:
        """Set all gradients to zero before backward adds to them."""

    def callbacks(self) -> Any:
        """What `Variable.backward` is given to communicate while it runs, or None."""

    def reduce(self, losses: Array) -> Array:
        """Sum the gradients over ranks, unless backward did, and with them the loss terms (n,), which are returned."""

    def norm(self) -> float:
        """Euclidean norm of all gradients together; not finite if one of them is not."""

    def scale(self, factor: float) -> None:
        """Multiply all gradients."""

    def average_statistics(self) -> None:
        """Give all ranks the mean of their running statistics."""

    def keep_statistics(self) -> None:
        """Remember the running statistics."""

    def restore_statistics(self) -> None:
        """Go back to the remembered ones."""


class FlatGradients:
    """On CPUs: every gradient is a view into one array, and so is every running statistic.

    Clearing, summing over ranks, the norm and scaling are then one call each whatever the number of parameters, and
    nothing is copied. The loss terms travel at the end of the same array.
    """

    def __init__(
        self, parameters: Sequence[nn.Variable], statistics: Sequence[nn.Variable], *, num_losses: int, communicator: Communicator
    ) -> None:
        self._communicator = communicator
        size = sum(parameter.size for parameter in parameters)
        self._keep_alive = [_flat(size + num_losses), _flat(sum(statistic.size for statistic in statistics))]
        self._all, self._statistics = (array.data for array in self._keep_alive)
        self._gradients = self._all[:size]
        self._losses = self._all[size:]
        start = 0
        for parameter in parameters:
            parameter.grad = self._keep_alive[0].narrow(0, start, parameter.size).view(parameter.shape)
            start += parameter.size
        start = 0
        for statistic in statistics:
            self._statistics[start : start + statistic.size] = statistic.d.ravel()
            statistic.data = self._keep_alive[1].narrow(0, start, statistic.size).view(statistic.shape)
            start += statistic.size
        self._kept = self._statistics

    def clear(self) -> None:
        """One fill."""
        self._gradients.fill(0)

    def callbacks(self) -> Any:
        """None: reduced afterwards."""
        return None

    def reduce(self, losses: Array) -> Array:
        """One all-reduce for everything."""
        self._losses[...] = losses
        self._communicator.sum_in_place(self._all)
        return self._losses.copy()

    def norm(self) -> float:
        """One dot product; exact about finiteness also where the square overflows."""
        square = float(np.dot(self._gradients, self._gradients))
        if not math.isfinite(square) and np.isfinite(self._gradients).all():
            square = float(np.square(self._gradients, dtype=np.float64).sum())
        return math.sqrt(square)

    def scale(self, factor: float) -> None:
        """One multiplication in place."""
        self._gradients *= np.float32(factor)

    def average_statistics(self) -> None:
        """One small all-reduce."""
        if self._communicator.size > 1 and self._statistics.size:
            self._communicator.sum_in_place(self._statistics)
            self._statistics /= self._communicator.size

    def keep_statistics(self) -> None:
        """A copy of some thousand numbers."""
        self._kept = self._statistics.copy()

    def restore_statistics(self) -> None:
        """Copied back."""
        self._statistics[...] = self._kept


class DeviceGradients:
    """On GPUs, and wherever gradients are not float32: NNabla's own operations on every array."""

    def __init__(
        self, parameters: Sequence[nn.Variable], statistics: Sequence[nn.Variable], *, solver: Solver, communicator: Communicator
    ) -> None:
        self._solver = solver
        self._communicator = communicator
        self._gradients = [parameter.grad for parameter in parameters]
        self._statistics = [statistic.data for statistic in statistics]
        self._kept: nn.Variable | None = None
        self._squares: nn.Variable | None = None
        self._reduced_by_backward = False

    def clear(self) -> None:
        """NNabla only marks them; the first write of backward replaces instead of adding."""
        self._solver.zero_grad()

    def callbacks(self) -> Any:
        """The communicator's."""
        callbacks = self._communicator.reduce_during_backward(self._gradients)
        self._reduced_by_backward = callbacks is not None
        return callbacks

    def reduce(self, losses: Array) -> Array:
        """The losses through the host; the gradients too where backward did not reduce them."""
        if self._communicator.size > 1 and not self._reduced_by_backward:
            for gradient in self._gradients:
                self._communicator.sum_in_place(gradient.cast(np.float32))
        return self._communicator.sum(losses)

    def norm(self) -> float:
        """Computed on the device in float32, where squares of half-precision gradients do not overflow; one number comes back.

        Where squares overflow even so, once more with all gradients divided by the largest.
        """
        if self._squares is None:
            self._squares = _sum_of_squares(self._gradients)  # once: to make hundreds of functions takes longer than to run them
        self._squares.forward(clear_buffer=True)
        total = float(self._squares.d)
        if not math.isinf(total):
            return math.sqrt(total) if total >= 0 else math.nan
        with nn.auto_forward(), nn.context_scope(in_float(nn.get_current_context())):
            largest = float(F.max(F.stack(*(F.max(F.abs(gradient)) for gradient in self._gradients))).data)
            if not math.isfinite(largest):
                return math.inf
            divided = _sum_of_squares([gradient / largest for gradient in self._gradients])
        divided.forward()
        return largest * math.sqrt(float(divided.d))

    def scale(self, factor: float) -> None:
        """NNabla's own."""
        self._solver.scale_grad(factor)

    def average_statistics(self) -> None:
        """On the device where the communicator can."""
        self._communicator.average(self._statistics)

    def keep_statistics(self) -> None:
        """One copy of all on the device; to copy hundreds one by one would take longer than some of a step's layers."""
        if self._statistics and self._kept is None:
            self._kept = joined(self._statistics)
        if self._kept is not None:
            self._kept.forward()

    def restore_statistics(self) -> None:
        """Copied back, through the host: it happens seldom."""
        values, start = self._kept.d if self._kept is not None else np.zeros(0, np.float32), 0
        for statistic in self._statistics:
            size = math.prod(statistic.shape)
            statistic.cast(np.float32)[...] = values[start : start + size].reshape(statistic.shape)
            start += size


def joined(arrays: Sequence[nn.NdArray]) -> nn.Variable:
    """The graph that copies what float32 arrays hold then into one, (n,)."""
    with nn.auto_forward(False), nn.context_scope(in_float(nn.get_current_context())):
        parts = [F.reshape(variable, (-1,), inplace=False) for variable in map(_holding, arrays)]
        return F.concatenate(*parts, axis=0) if len(parts) > 1 else parts[0]


def _sum_of_squares(arrays: Sequence[nn.NdArray]) -> nn.Variable:
    """The graph that computes it, in float32, from what the arrays hold then."""
    with nn.auto_forward(False), nn.context_scope(in_float(nn.get_current_context())):
        flat = joined(arrays)  # two functions on all of them, not two on each
        return F.sum(F.mul2(flat, flat))


def _holding(array: nn.NdArray) -> nn.Variable:
    """A variable on an array that is there already."""
    variable = nn.Variable(array.shape)
    variable.data = array
    variable.persistent = True  # else clear_buffer clears it
    return variable


def is_plain_cpu(context: Any) -> bool:
    """Whether everything computed in an NNabla context is float32 in the CPU's memory."""
    return set(context.backend) <= {"cpu", "cpu:float"}


def _flat(size: int) -> nn.NdArray:
    array = nn.NdArray((size,))
    array.cast(np.float32)[...] = 0
    return array
