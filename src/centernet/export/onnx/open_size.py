"""ONNX models whose images may have any height and width, from models written for a few sizes.

An NNabla graph is made for one input size, which its reshapes, slices and divisors repeat in numbers of their own. The same network
written for other sizes has the same nodes and other numbers: each of them is 1, height, width and height times width, with whole
factors, or one over that. What tells the factors is what the models say; where they say something else, there is no such model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from centernet.errors import ExportError
from centernet.export.onnx.model import checked
from centernet.structures import Array

Size = tuple[int, int]
BASIS = "size_basis"  # the tensor [1, height, width, height * width], in units


def with_open_size(
    write: Callable[[Size], onnx.ModelProto], *, input_name: str, axes: tuple[int, int], unit: int, base: Size
) -> onnx.ModelProto:
    """A model for images of any height and width that are multiples of `unit`.

    Args:
        write: the model for one (height, width); called for five sizes, for all of which it must choose the same nodes.
        input_name: the input that is images. axes: which of its axes are height and width.
        unit: what all sizes are multiples of, in pixels.
        base: the smallest size to write it for.

    Raises:
        ExportError: something depends on the size in another way, for example a padding.
    """
    sizes = [(base[0] + rows * unit, base[1] + columns * unit) for rows, columns in ((0, 0), (1, 0), (0, 1), (1, 1), (3, 2))]
    models = [write(size) for size in sizes]
    factors = _Factors([(height // unit, width // unit) for height, width in sizes])
    _check_nodes(models)
    model = models[0]
    graph = _Emitter()
    graph.basis(input_name, axes, unit)
    every = [{tensor.name: tensor for tensor in each.graph.initializer} for each in models]
    kept = []
    for tensor in model.graph.initializer:
        values = [numpy_helper.to_array(tensors[tensor.name]) for tensors in every]
        if all(value.shape == values[0].shape and np.array_equal(value, values[0]) for value in values):
            kept.append(tensor)
        else:
            graph.computed(tensor.name, *factors.of(values, what=tensor.name), values[0].shape, is_float=values[0].dtype == np.float32)
    nodes = [*graph.nodes, *model.graph.node]
    shapes = {name: _described(name, models, factors, unit) for name in (v.name for v in (*model.graph.input, *model.graph.output))}
    opened = helper.make_graph(
        nodes,
        model.graph.name,
        [shapes[v.name] for v in model.graph.input],
        [shapes[v.name] for v in model.graph.output],
        [*graph.constants, *kept],
    )
    return checked(opened, {entry.key: entry.value for entry in model.metadata_props}, opset=model.opset_import[0].version)


class _Factors:
    """Finds the four whole factors of 1, h, w and h * w in numbers seen at several sizes."""

    def __init__(self, sizes: Sequence[Size]) -> None:
        self._terms = np.array([[1, h, w, h * w] for h, w in sizes], np.float64)

    def of(self, values: Sequence[Array], *, what: str) -> tuple[Array, bool]:
        """(n, 4) int64, and whether the numbers are one over them; ExportError where there are none."""
        if all(value.shape == values[0].shape for value in values):
            table = np.stack([value.reshape(-1) for value in values]).astype(np.float64)  # (sizes, n)
            for is_reciprocal in (False, True):
                if is_reciprocal and not table.all():
                    continue
                wanted = 1 / table if is_reciprocal else table
                found = np.rint(np.linalg.solve(self._terms[:4], wanted[:4]))
                if np.allclose(self._terms @ found, wanted, rtol=1e-6, atol=0):
                    return found.T.astype(np.int64), is_reciprocal
        raise ExportError(f"'{what}' depends on the input size in a way that cannot stay open; export for one size, without --dynamic")


class _Emitter:
    """The nodes that compute what depends on the size."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def basis(self, input_name: str, axes: tuple[int, int], unit: int) -> None:
        shape = self._node("Shape", [input_name], "size_shape")
        sides = self._node("Gather", [shape, self._constant("size_axes", axes)], "size_pixels", axis=0)
        units = self._node("Div", [sides, self._constant("size_unit", (unit,))], "size_units")
        zero, one = self._constant("size_first", (0,)), self._constant("size_one", (1,))
        height = self._node("Gather", [units, zero], "size_height", axis=0)
        width = self._node("Gather", [units, one], "size_width", axis=0)
        area = self._node("Mul", [height, width], "size_area")
        self._node("Concat", [one, height, width, area], BASIS, axis=0)

    def computed(self, name: str, factors: Array, is_reciprocal: bool, shape: tuple[int, ...], *, is_float: bool) -> None:
        """The tensor `name` of one shape: whole factors (n, 4) times the basis, or one over that."""
        terms = self._node("Mul", [self._constant(f"{name}_factors", factors), BASIS], f"{name}_terms")
        sums = self._node("ReduceSum", [terms, self._constant(f"{name}_axis", (1,))], f"{name}_sums", keepdims=0)
        value = self._node("Reshape", [sums, self._constant(f"{name}_shape", shape)], f"{name}_whole" if is_float else name)
        if is_float:
            value = self._node("Cast", [value], f"{name}_float" if is_reciprocal else name, to=TensorProto.FLOAT)
        if is_reciprocal:
            self._node("Reciprocal", [value], name)

    def _constant(self, name: str, values: Sequence[int] | Array) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"node_{output}", **attributes))
        return output


def _check_nodes(models: Sequence[onnx.ModelProto]) -> None:
    counts = {len(model.graph.node) for model in models}
    if len(counts) > 1:
        raise ExportError(
            f"the network takes {min(counts)} to {max(counts)} steps, depending on the input size, which cannot stay open; "
            "export for one size, without --dynamic"
        )
    for nodes in zip(*(model.graph.node for model in models), strict=True):
        if any(node != nodes[0] for node in nodes):
            raise ExportError(
                f"'{nodes[0].name}' depends on the input size in a way that cannot stay open; export for one size, without --dynamic"
            )


def _described(name: str, models: Sequence[onnx.ModelProto], factors: _Factors, unit: int) -> onnx.ValueInfoProto:
    """An input or output of the first model, with words for the axes that depend on the size."""
    seen = [next(v for v in (*model.graph.input, *model.graph.output) if v.name == name) for model in models]
    dimensions = [value.type.tensor_type.shape.dim for value in seen]
    shape: list[int | str] = []
    for axis, first in enumerate(dimensions[0]):
        lengths = [each[axis].dim_value for each in dimensions]
        if first.dim_param or len(set(lengths)) == 1:
            shape.append(first.dim_param or first.dim_value)
        else:
            (row,), _ = factors.of([np.array([length]) for length in lengths], what=f"{name}, axis {axis}")
            shape.append(_words(dict(zip(("", "height", "width", "height*width"), row.tolist(), strict=True)), unit))
    return helper.make_tensor_value_info(name, seen[0].type.tensor_type.elem_type, shape)


def _words(row: Mapping[str, int], unit: int) -> str:
    """`height/4` and the like."""
    parts = []
    for name, factor in row.items():
        whole = unit ** (0 if not name else 2 if "*" in name else 1)
        if factor:
            ratio = (
                f"{factor}"
                if not name
                else name
                if factor == whole
                else f"{name}/{whole // factor}"
                if whole % factor == 0
                else f"{factor}*{name}/{whole}"
            )
            parts.append(ratio)
    return "+".join(parts)
