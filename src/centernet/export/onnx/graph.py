"""What the conversion of one NNabla function may see and do: the graph so far, names, nodes and constants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import nnabla as nn
import numpy as np
import onnx
from onnx import helper, numpy_helper

from centernet.structures import Array

# A function of the graph, as nnabla.Variable.visit hands it out; NNabla has no type stubs.
Function = Any

# How deformable convolution is written: as ONNX's operator, or as samples that every runtime can take.
Deform = Literal["operator", "gridsample"]

NHWC_TO_NCHW = (0, 3, 1, 2)
NCHW_TO_NHWC = (0, 2, 3, 1)


class GraphBuilder:
    """The ONNX graph while it grows.

    Every tensor is float32, as in NNabla: indices and truth values are cast where an ONNX operator wants or makes others, and so
    are inputs that are bytes.
    """

    def __init__(
        self, parameter_names: Mapping[nn.Variable, str], *, dynamic_batch: bool, opset: int, deform: Deform = "gridsample"
    ) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.dynamic_batch, self.opset, self.deform = dynamic_batch, opset, deform
        self._parameter_names = parameter_names
        self._tensors: dict[nn.Variable, str] = {}
        self._used: Counter[str] = Counter()

    def bind(self, variable: nn.Variable, name: str) -> None:
        """Let `variable` be the tensor `name`."""
        self._tensors[variable] = name
        self._used[name] += 1

    def is_bound(self, variable: nn.Variable) -> bool:
        """Whether `variable` already is a tensor of the graph."""
        return variable in self._tensors

    def tensor(self, variable: nn.Variable, value: Array | None = None) -> str:
        """The tensor of `variable`; one that no function computes is stored, a parameter under its NNabla name.

        value: what to store where it is not the parameter as it stands but, say, its transpose.
        """
        if variable not in self._tensors:
            name = self._parameter_names.get(variable)
            self._tensors[variable] = self.constant(self.value(variable) if value is None else value, name)
        return self._tensors[variable]

    def value(self, variable: nn.Variable) -> Array:
        """The numbers of a parameter or constant as float32."""
        assert variable.parent is None, "only a parameter or a constant has a value while the graph is written"
        return np.asarray(variable.d, np.float32)

    def constant(self, array: Array, name: str | None = None) -> str:
        """Store an array in the file and return its tensor."""
        name = name or self.fresh("constant")
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        return name

    def integers(self, *values: int) -> str:
        """An int64 vector, as shapes and axes are given in ONNX."""
        return self.constant(np.asarray(values, np.int64), self.fresh("integers"))

    def fresh(self, stem: str) -> str:
        """A tensor name nobody has."""
        while True:
            name = f"{stem}_{self._used[stem]}"
            self._used[stem] += 1
            if name not in self._used:
                self._used[name] += 1
                return name

    def result(self, variable: nn.Variable, stem: str) -> str:
        """The tensor a function must write for its output `variable`."""
        if variable not in self._tensors:
            self.bind(variable, self.fresh(stem))
        return self._tensors[variable]

    def node(self, operator: str, inputs: Sequence[str], outputs: Sequence[str] | None = None, **attributes: Any) -> str:
        """Append a node; returns its first output, which gets a fresh name where none is given."""
        outputs = outputs or [self.fresh(operator.lower())]
        name = self.fresh(f"node_{operator.lower()}")
        self.nodes.append(helper.make_node(operator, list(inputs), list(outputs), name=name, **attributes))
        return outputs[0]

    def batch_first(self, shape: Sequence[int]) -> str:
        """A target shape as a tensor; its first axis is left open where the batch may change."""
        first = -1 if self.dynamic_batch else shape[0]
        return self.integers(first, *shape[1:]) if shape else self.integers()
