"""ONNX models in two bytes a number: a network that computes in float16, or weights kept as bfloat16.

What comes before the first convolution and after the last one stays float32 either way: levels of 255 and the numbers of cells and
places, which decoding computes with, are not exact in two bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from centernet.errors import ExportError
from centernet.export.onnx.model import checked
from centernet.structures import Array

CONVOLUTIONS = ("Conv", "ConvTranspose")
LARGEST_FLOAT16 = 65504.0


def network_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes from the first convolution to the last ones: a convolution, or between two of them."""
    nodes = list(model.graph.node)
    after: set[str] = set()
    before: set[str] = set()  # tensors that depend on a convolution; that a convolution depends on
    for node in nodes:
        if node.op_type in CONVOLUTIONS or not after.isdisjoint(node.input):
            after.update(node.output)
    for node in reversed(nodes):
        if node.op_type in CONVOLUTIONS or not before.isdisjoint(node.output):
            before.update(node.input)
    return [
        node.name
        for node in nodes
        if node.op_type in CONVOLUTIONS or (not after.isdisjoint(node.output) and not before.isdisjoint(node.output))
    ]


def in_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with the network in float16, inputs and outputs as they are.

    Raises:
        ExportError: a parameter is beyond what float16 holds.
    """
    inside = set(network_nodes(model))
    floats = _float_tensors(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    outside_reads = {name for node in model.graph.node if node.name not in inside for name in node.input}
    outside_reads |= {value.name for value in model.graph.output}
    made = {name for node in model.graph.node if node.name in inside for name in node.output}
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    halves: dict[str, str] = {}

    def half(name: str) -> str:
        """The float16 twin of a tensor that a node of the network reads."""
        if name not in floats:
            return name
        if name not in halves:
            halves[name] = f"{name}_float16"
            if name in weights:
                constants.append(numpy_helper.from_array(_as_float16(numpy_helper.to_array(weights[name]), name), halves[name]))
            elif name not in made:
                nodes.append(_cast(name, halves[name], TensorProto.FLOAT16))
        return halves[name]

    for node in model.graph.node:
        if node.name not in inside:
            nodes.append(node)
            continue
        inputs, outputs = [half(name) for name in node.input], [half(name) for name in node.output]
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.input[:], copy.output[:]
        copy.input.extend(inputs)
        copy.output.extend(outputs)
        if node.op_type == "Cast":
            copy.attribute[0].i = TensorProto.FLOAT16 if copy.attribute[0].i == TensorProto.FLOAT else copy.attribute[0].i
        nodes.append(copy)
        nodes += [_cast(halves[name], name, TensorProto.FLOAT) for name in node.output if name in outside_reads and name in floats]
    return _rebuilt(model, nodes, constants, dropped=halves.keys() - outside_reads)


def with_bfloat16_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with the convolutions' weights rounded to bfloat16 and kept so; what runs it computes in what it likes."""
    wanted = {node.input[1] for node in model.graph.node if node.op_type in CONVOLUTIONS}
    constants, casts = [], []
    for tensor in model.graph.initializer:
        if tensor.name in wanted:
            name = f"{tensor.name}_bfloat16"
            rounded = _as_bfloat16(numpy_helper.to_array(tensor))
            constants.append(helper.make_tensor(name, TensorProto.BFLOAT16, tensor.dims, rounded.tobytes(), raw=True))
            casts.append(_cast(name, tensor.name, TensorProto.FLOAT))
    return _rebuilt(model, [*casts, *model.graph.node], constants, dropped=wanted)


def _rebuilt(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], *, dropped: Iterable[str]
) -> onnx.ModelProto:
    gone = set(dropped)
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in gone]
    graph = helper.make_graph(nodes, model.graph.name, model.graph.input, model.graph.output, [*constants, *kept])
    return checked(graph, {entry.key: entry.value for entry in model.metadata_props}, opset=model.opset_import[0].version)


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    typed = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return typed | {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}


def _cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"node_{target}_cast", to=to)


def _as_float16(values: Array, name: str) -> Array:
    largest = float(abs(values).max(initial=0.0))
    if largest > LARGEST_FLOAT16:
        raise ExportError(f"parameter '{name}' reaches {largest:g}, float16 holds up to {LARGEST_FLOAT16:g}; use --precision bfloat16")
    return values.astype(np.float16)


def _as_bfloat16(values: Array) -> Array:
    """The upper halves of float32 numbers, rounded to the nearest, ties to even; uint16."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded: Array = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return rounded
