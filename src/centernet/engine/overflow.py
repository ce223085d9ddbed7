"""Which layer overflowed first: a step that went wrong, computed once more and looked at function by function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import nnabla as nn
import numpy as np

from centernet.engine.graph import LossGraph
from centernet.structures import Array


def first_overflow(graph: LossGraph, parameters: Mapping[str, nn.Variable], *, scale: float) -> str | None:
    """Run a fed graph forward and backward and say where inf or nan appears first; None: nowhere.

    It is not collective: the gradients of this process alone are looked at. They are added to those that the parameters
    hold, which the caller clears before, and running statistics are updated once more. Those that the graph updates are not
    looked at: the step that went wrong has left its inf in them, and none comes from them.

    Args:
        parameters: the network's, by name.
        scale: what the total loss is multiplied by before backward.
    """
    layers = _Layers(parameters)
    written = {hash(data) for data in graph.written_statistics()}
    for name, variable in {**graph.inputs, **parameters}.items():
        if hash(variable.data) in written:
            continue
        count = _count(variable.d)
        if count is not None:
            return f"{'the input' if name in graph.inputs else 'the parameter'} '{name}' itself is not finite ({count})"
    found: list[str] = []
    nn.forward_all([graph.losses, graph.total], function_post_hook=_until_found(found, layers.bad_output))
    if not found:
        graph.total.backward(scale, function_post_hook=_until_found(found, layers.bad_gradient))
    return found[0] if found else None


def _until_found(found: list[str], look: Callable[[Any], str | None]) -> Callable[[Any], None]:
    """A hook that looks at functions until one is bad; NNabla runs the others all the same."""

    def hook(function: Any) -> None:
        text = None if found else look(function)
        if text is not None:
            found.append(text)

    return hook


class _Layers:
    """What functions are called: by the scope of their parameters, or after the last layer that has some."""

    def __init__(self, parameters: Mapping[str, nn.Variable]) -> None:
        self._names = {hash(variable.data): name for name, variable in parameters.items()}

    def bad_output(self, function: Any) -> str | None:
        """Whether an output of the function is not finite."""
        for output in function.outputs:
            count = _count(output.d)
            if count is not None:
                return f"the first output that is not finite is that of {self._called(function)} ({count})"
        return None

    def bad_gradient(self, function: Any) -> str | None:
        """Whether the function's backward made a gradient that is not finite, of a parameter of its own or of what it was given."""
        for position, variable in enumerate(function.inputs):
            count = _count(variable.g) if variable.need_grad else None
            if count is not None:
                name = self._names.get(hash(variable.data))
                of_what = f"its input {position}" if name is None else f"the parameter '{name}'"
                called = self._called(function)
                return f"the first gradient that is not finite is made by {called}, with respect to {of_what} ({count})"
        return None

    def _called(self, function: Any) -> str:
        kind, scope = function.info.type_name, self._scope(function)
        if scope is not None:
            return f"{kind} '{scope}'"
        while function is not None and scope is None:
            scope = self._scope(function)
            function = next((variable.parent for variable in function.inputs if variable.parent is not None), None)
        return kind if scope is None else f"{kind} after '{scope}'"

    def _scope(self, function: Any) -> str | None:
        names = (self._names.get(hash(variable.data)) for variable in function.inputs)
        return next((name.rpartition("/")[0] or name for name in names if name is not None), None)


def _count(values: Array) -> str | None:
    """How many numbers are not finite, in words; None if all are."""
    if not np.issubdtype(values.dtype, np.floating):
        return None
    bad = values.size - int(np.isfinite(values).sum())
    return f"{bad} of {values.size} numbers, {values.dtype}" if bad else None
