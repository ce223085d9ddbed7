"""Static graphs from named arrays to named losses: one per set of input shapes, the last few kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np

from centernet.engine.communicator import Communicator
from centernet.engine.context import in_float
from centernet.structures import Array

BuildLosses = Callable[[dict[str, nn.Variable]], Mapping[str, nn.Variable]]
Shapes = tuple[tuple[str, tuple[int, ...]], ...]

NORMALISATIONS = ("BatchNormalization", "FusedBatchNormalization", "SyncBatchNormalization")


class LossGraph:
    """One static graph.

    inputs: what to feed. losses: (n,), the terms in the order of `names`, float32. total: (), their weighted sum.
    """

    def __init__(self, shapes: Shapes, build_losses: BuildLosses, loss_weights: Mapping[str, float]) -> None:
        with nn.auto_forward(False):
            self.inputs = {name: nn.Variable(shape) for name, shape in shapes}
            terms = dict(build_losses(dict(self.inputs)))
            if set(terms) != set(loss_weights):
                raise ValueError(f"losses are {sorted(terms)}, but weights are given for {sorted(loss_weights)}")
            self.names = tuple(terms)
            with nn.context_scope(in_float(nn.get_current_context())):
                flat = [F.reshape(term, (1,), inplace=False) for term in terms.values()]
                self.losses = F.concatenate(*flat, axis=0) if len(flat) > 1 else flat[0]
                weighted = [F.mul_scalar(part, float(loss_weights[name])) for name, part in zip(self.names, flat, strict=True)]
                self.total = F.reshape(F.add_n(*weighted), (), inplace=False)
        self.losses.persistent = True

    def feed(self, arrays: Mapping[str, Array], counts: Mapping[str, float]) -> None:
        """Copy the inputs in; their types are kept, except that doubles become floats."""
        for name, variable in self.inputs.items():
            if name in counts:
                variable.d = np.float32(counts[name])
            else:
                array = arrays[name]
                variable.d = array if array.dtype != np.float64 else array.astype(np.float32)

    def functions(self) -> Iterator[Any]:
        """All NNabla functions of the graph."""
        found: list[Any] = []
        self.total.visit(found.append)
        return iter(found)

    def has_batch_statistics(self) -> bool:
        """Whether some batch normalisation updates its running statistics."""
        return any(f.info.type_name in NORMALISATIONS and f.info.args.get("batch_stat", False) for f in self.functions())

    def written_statistics(self) -> list[nn.NdArray]:
        """Running statistics that batch normalisations update; nothing that the losses depend on reads them."""
        updating = (f for f in self.functions() if f.info.type_name in NORMALISATIONS and f.info.args.get("batch_stat", True))
        return [variable.data for f in updating for variable in f.inputs[3:5]]

    def leaves(self) -> list[nn.NdArray]:
        """The data arrays of all variables that no function computes: inputs, parameters, constants."""
        return [variable.data for f in self.functions() for variable in f.inputs if variable.parent is None]


class GraphCache:
    """The graphs of the last few sets of input shapes.

    Args:
        counts: names of inputs that count things: fed as one number, the sum over the global batch.
        size: graphs kept; each holds its own activations.
    """

    def __init__(
        self,
        build_losses: BuildLosses,
        *,
        loss_weights: Mapping[str, float],
        communicator: Communicator,
        counts: Sequence[str] = (),
        size: int = 3,
    ) -> None:
        self._build_losses = build_losses
        self._loss_weights = dict(loss_weights)
        self._communicator = communicator
        self._counts = tuple(counts)
        self._size = size
        self._graphs: OrderedDict[Shapes, LossGraph] = OrderedDict()

    def graph(self, arrays: Mapping[str, Array]) -> LossGraph:
        """The graph for these shapes, not yet fed."""
        key = tuple((name, () if name in self._counts else arrays[name].shape) for name in sorted(arrays))
        if key not in self._graphs:
            self._graphs[key] = LossGraph(key, self._build_losses, self._loss_weights)
            while len(self._graphs) > self._size:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        return self._graphs[key]

    def fed(self, arrays: Mapping[str, Array], counts: Mapping[str, float] | None = None) -> LossGraph:
        """The graph for these arrays, fed (collective where there are counts which are not given)."""
        graph = self.graph(arrays)
        graph.feed(arrays, self.count(arrays) if counts is None else counts)
        return graph

    def count(self, arrays: Mapping[str, Array]) -> dict[str, float]:
        """The counts of the global batch (collective); a rank without arrays adds nothing."""
        if not self._counts:
            return {}
        local = [float(np.sum(arrays[name], dtype=np.float64)) if arrays else 0.0 for name in self._counts]
        return dict(zip(self._counts, self._communicator.sum(local).tolist(), strict=True))
