"""One training step: feed, forward, backward, sum over ranks, check, update."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import nnabla as nn
import numpy as np

from centernet.engine.communicator import Communicator
from centernet.engine.endings import Interrupted
from centernet.engine.function_types import FunctionType, function_type
from centernet.engine.gradients import DeviceGradients, FlatGradients, Gradients, is_plain_cpu
from centernet.engine.graph import BuildLosses, GraphCache
from centernet.engine.moving_average import MovingAverage
from centernet.engine.overflow import first_overflow
from centernet.engine.precision import LossScaler
from centernet.engine.solver import Solver
from centernet.errors import TrainingError
from centernet.structures import Array


class NonFiniteError(TrainingError):
    """A loss or gradient is inf or nan; `is_here`: in this rank's part of the batch. Raised on all ranks alike."""

    def __init__(self, text: str, *, is_here: bool) -> None:
        super().__init__(text)
        self.is_here = is_here


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What one step did, over all ranks.

    losses: each term, unweighted. total: their weighted sum. is_skipped: nothing was updated, gradients overflowed.
    gradient_norm: of the gradient of `total`, before clipping. loss_scale: what this step multiplied the loss by before
    backward; None: losses are not scaled.
    """

    losses: dict[str, float]
    total: float
    is_skipped: bool
    gradient_norm: float
    loss_scale: float | None = None


class TrainStep:
    """Trains the parameters that the losses depend on, one global batch at a time.

    Gradients are summed over ranks: each rank's losses are already divided by the global batch's counts, so the sum
    is the gradient of the global loss. Running statistics of batch norm are averaged over ranks after every step, so
    all ranks hold the same model at any time and it does not matter which of them writes it.

    Args:
        build_losses: named input variables -> named losses, each a scalar; called once per set of input shapes.
        loss_weights: name -> factor in the total.
        counts: inputs that count things (`num_objects`): replaced by their sum over the global batch, shape ().
        gradient_clip: largest norm of the whole gradient; None: no clipping.
        parameters: the network's, running statistics too, in the order of files; None: NNabla's current parameter scope.
            Those with `need_grad` that the graph depends on are trained: a left-over `fc` is not.
        accumulate: the batch goes through the network in so many parts, one after another, and its gradients are added up: the memory
            of a part, and the step of the whole, but for batch norm, which sees one part at a time.
        frozen: names of parameters and running statistics that stay as they are; their losses' graph must not update them.
        average: of the parameters, kept up with every step; None: none.
    """

    def __init__(
        self,
        build_losses: BuildLosses,
        *,
        loss_weights: Mapping[str, float],
        solver: Solver,
        scaler: LossScaler,
        communicator: Communicator,
        counts: Sequence[str] = (),
        gradient_clip: float | None = None,
        parameters: Mapping[str, nn.Variable] | None = None,
        accumulate: int = 1,
        frozen: Collection[str] = (),
        average: MovingAverage | None = None,
    ) -> None:
        self.solver = solver
        self.scaler = scaler
        self.communicator = communicator
        self.average = average
        self.function_types: Counter[FunctionType] = Counter()  # of the first batch that was trained on
        self._weights = dict(loss_weights)
        self._clip = gradient_clip
        self._given = parameters
        self._num_parts = accumulate
        self._frozen = frozenset(frozen)
        self._graphs = GraphCache(build_losses, loss_weights=loss_weights, communicator=communicator, counts=counts)
        self._gradients: Gradients | None = None
        self._has_batch_statistics = False
        self._used: set[str] = set()
        self._pending: tuple[Mapping[str, Mapping[str, Array]], str] | None = None

    def run(self, arrays: Mapping[str, Array], learning_rate: float) -> StepReport:
        """Train on one batch; collective.

        Args:
            arrays: this rank's part of the global batch, each (B, ...).
            learning_rate: used as given.

        Raises:
            NonFiniteError: a loss or gradient is not finite and the loss scale is not dynamic.
            TrainingError: it was not finite too often in a row with a dynamic one.
        """
        parts = self._parts(arrays)
        gradients = self.prepare(parts[0])
        if self.scaler.dynamic:
            gradients.keep_statistics()
        counts = self._graphs.count(arrays)
        names, local = self._accumulate(gradients, parts, counts)
        is_here = not np.isfinite(local).all()
        losses = dict(zip(names, gradients.reduce(local).tolist(), strict=True))
        norm = gradients.norm() / self.scaler.scale
        total = sum(self._weights[name] * loss for name, loss in losses.items())
        is_finite = math.isfinite(norm) and all(map(math.isfinite, losses.values()))
        if is_finite:
            self._update(gradients, norm, learning_rate)
        elif not self.scaler.dynamic:
            raise NonFiniteError(_not_finite(losses, norm, where=self._where(gradients, parts, counts)), is_here=is_here)
        else:
            gradients.restore_statistics()
        scale = self.scaler.scale if self.scaler.is_used else None
        self.scaler.update(is_finite, explain=lambda: self._where(gradients, parts, counts))
        return StepReport(losses=losses, total=total, is_skipped=not is_finite, gradient_norm=norm, loss_scale=scale)

    def _parts(self, arrays: Mapping[str, Array]) -> list[Mapping[str, Array]]:
        """A rank's part of the global batch as the batches that the network sees, one after another."""
        if self._num_parts == 1:
            return [arrays]
        return [dict(zip(arrays, part, strict=True)) for part in zip(*(np.split(a, self._num_parts) for a in arrays.values()), strict=True)]

    def _accumulate(
        self, gradients: Gradients, parts: Sequence[Mapping[str, Array]], counts: Mapping[str, float]
    ) -> tuple[tuple[str, ...], Array]:
        """Forward and backward through all parts; the names of the loss terms, and their sums over the parts."""
        gradients.clear()
        watch = None if self.function_types else lambda function: self.function_types.update([function_type(function)])
        local = np.zeros(len(self._weights), np.float32)
        names: tuple[str, ...] = ()
        for number, part in enumerate(parts, 1):
            graph = self._graphs.fed(part, counts)
            nn.forward_all([graph.losses, graph.total], clear_no_need_grad=True, function_post_hook=watch if number == 1 else None)
            callbacks = gradients.callbacks() if number == len(parts) else None  # the sum is complete only then
            graph.total.backward(self.scaler.scale, clear_buffer=True, communicator_callbacks=callbacks)
            names, local = graph.names, local + graph.losses.d
        return names, local

    def prepare(self, arrays: Mapping[str, Array]) -> Gradients:
        """Build the graph for these shapes; the first time also hand its parameters to the solver, equal on all ranks."""
        if self._gradients is None:
            graph = self._graphs.graph(arrays)
            leaves = {hash(leaf) for leaf in graph.leaves()}
            self._used = {name for name, parameter in self.parameters().items() if hash(parameter.data) in leaves}
            trainable = {name: p for name, p in self.parameters().items() if p.need_grad}
            self.solver.set_parameters(trainable, frozen=self._frozen)
            trained = [p for name, p in trainable.items() if name not in self._frozen]
            statistics = [p for name, p in self.parameters().items() if not p.need_grad and name not in self._frozen]
            self._gradients = self._make_gradients(trained, statistics, len(graph.names))
            self._has_batch_statistics = graph.has_batch_statistics()
            self._equalise()
            if self._pending is not None:
                self.solver.restore(self._pending[0], what=self._pending[1])
            if self.average is not None:
                self.average.begin(self.parameters(), self.communicator)
        return self._gradients

    def restore(self, states: Mapping[str, Mapping[str, Array]], scaler_state: dict[str, float], *, what: str) -> None:
        """Continue with a checkpoint's solver states and loss scale; at once, or when the first graph is built.

        Collective where graphs are built already: all ranks then go on with rank 0's parameters, as at the start.
        """
        self.scaler.restore(scaler_state)
        if self._gradients is None:
            self._pending = (states, what)
        else:
            self.solver.restore(states, what=what)
            self._equalise()

    def parameters(self) -> dict[str, nn.Variable]:
        """The network's parameters, trained or not; before the first graph also those it will turn out not to depend on."""
        given = self._given if self._given is not None else nn.get_parameters(grad_only=False)
        return {name: parameter for name, parameter in given.items() if not self._used or name in self._used}

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the parameters hold their moving average, where there is one: what is measured, exported and kept as the best."""
        return nullcontext() if self.average is None else self.average.in_place()

    def compared(self) -> dict[str, nn.Variable]:
        """What must be equal on all ranks: the parameters and their average."""
        return {**self.parameters(), **(self.average.variables() if self.average is not None else {})}

    def _update(self, gradients: Gradients, norm: float, learning_rate: float) -> None:
        factor = 1.0 / self.scaler.scale
        if self._clip is not None and norm > self._clip:
            factor *= self._clip / norm
        if factor != 1.0:
            gradients.scale(factor)
        self.solver.update(learning_rate)
        if self._has_batch_statistics:
            gradients.average_statistics()
        if self.average is not None:
            self.average.update()

    def _where(self, gradients: Gradients, parts: Sequence[Mapping[str, Array]], counts: Mapping[str, float]) -> str:
        """The layer that overflowed first, on the first rank where one did; collective."""
        gradients.keep_statistics()
        own: str | None = None
        for part in parts:
            gradients.clear()
            own = own or first_overflow(self._graphs.fed(part, counts), self.parameters(), scale=self.scaler.scale)
        found = self.communicator.gather(own)
        gradients.restore_statistics()
        on = " (rank {})" if self.communicator.size > 1 else ""
        texts = [text + on.format(rank) for rank, text in enumerate(found) if text is not None]
        return texts[0] if texts else "computed once more, every layer is finite: the sum over processes, or chance"

    def _make_gradients(self, parameters: list[nn.Variable], statistics: list[nn.Variable], num_losses: int) -> Gradients:
        if is_plain_cpu(nn.get_current_context()):
            return FlatGradients(parameters, statistics, num_losses=num_losses, communicator=self.communicator)
        return DeviceGradients(parameters, statistics, solver=self.solver, communicator=self.communicator)

    def _equalise(self) -> None:
        """Start from rank 0's values everywhere, whatever each process drew or loaded."""
        if self.communicator.size > 1:
            values: dict[str, Any] = self.communicator.broadcast({name: p.d for name, p in self.parameters().items()})
            for name, parameter in self.parameters().items():
                parameter.d[...] = values[name]


class ValidationStep:
    """The losses of held-out batches, over all ranks, without training; arguments as `TrainStep`."""

    def __init__(
        self, build_losses: BuildLosses, *, loss_weights: Mapping[str, float], communicator: Communicator, counts: Sequence[str] = ()
    ) -> None:
        self._communicator = communicator
        self._weights = dict(loss_weights)
        self._graphs = GraphCache(build_losses, loss_weights=loss_weights, communicator=communicator, counts=counts)

    def run(self, arrays: Mapping[str, Array]) -> dict[str, float]:
        """Each loss term of the global batch, and `total`; collective, also for a rank whose share is empty (no arrays).

        Raises:
            Interrupted: some rank is to stop (`Communicator.stopping_at`); on all ranks alike.
        """
        local = dict.fromkeys(self._weights, 0.0)
        if arrays:
            graph = self._graphs.fed(arrays)
            nn.forward_all([graph.losses, graph.total], clear_buffer=True)
            local |= dict(zip(graph.names, graph.losses.d.tolist(), strict=True))
        else:
            self._graphs.count({})
        *sums, is_stopping = self._communicator.sum([*local.values(), self._communicator.is_stopping]).tolist()
        if is_stopping:
            raise Interrupted
        losses = dict(zip(local, sums, strict=True))
        return {**losses, "total": sum(self._weights[name] * loss for name, loss in losses.items())}


def _not_finite(losses: Mapping[str, float], norm: float, *, where: str) -> str:
    bad = [f"{name} = {loss}" for name, loss in losses.items() if not math.isfinite(loss)]
    what = f"loss is not finite ({', '.join(bad)})" if bad else f"gradient is not finite (norm {norm})"
    return f"the {what}; {where}; lower the learning rate, or look at the images named"
