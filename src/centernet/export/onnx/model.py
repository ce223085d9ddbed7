"""Turn an NNabla graph into an ONNX model, function by function, and check it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import nnabla as nn
import onnx
from onnx import TensorProto, helper

from centernet.errors import ExportError
from centernet.export.files import atomic_path
from centernet.export.onnx import deformable, indexing, spatial
from centernet.export.onnx.arithmetic import ARITHMETIC
from centernet.export.onnx.graph import Deform, Function, GraphBuilder

OPSETS = range(13, 21)  # Unsqueeze takes its axes as a tensor from 13 on
OPSET = 17  # where nothing asks for another
IR_VERSION = 8  # the oldest that knows opset 17, so that old runtimes read the file

CONVERTERS: dict[str, Callable[[GraphBuilder, Function], None]] = {
    **ARITHMETIC,
    "Affine": spatial.affine,
    "Arange": indexing.arange,
    "BatchNormalization": spatial.batch_normalization,
    "Broadcast": indexing.broadcast,
    "Concatenate": indexing.concatenate,
    "Constant": indexing.constant,
    "Convolution": spatial.convolution,
    "Deconvolution": spatial.deconvolution,
    "DeformableConvolution": deformable.deformable_convolution,
    "Gather": indexing.gather,
    "GatherNd": indexing.gather_nd,
    "Interpolate": spatial.interpolate,
    "Max": indexing.maximum,
    "MaxPooling": spatial.max_pooling,
    "Mean": indexing.mean,
    "Pad": indexing.pad,
    "Reshape": indexing.reshape,
    "Slice": indexing.slice_,
    "Stack": indexing.stack,
    "TopKData": indexing.top_k_data,
    "Transpose": indexing.transpose,
}


def to_onnx(
    outputs: Mapping[str, nn.Variable],
    inputs: Mapping[str, nn.Variable],
    *,
    metadata: Mapping[str, str] | None = None,
    opset: int | None = None,
    dynamic_batch: bool = False,
    uint8_inputs: Collection[str] = (),
    deform: Deform = "gridsample",
) -> onnx.ModelProto:
    """Write the graph between `inputs` and `outputs` as a checked ONNX model; nothing is computed.

    Args:
        outputs: output name -> variable, float32.
        inputs: input name -> variable; their shapes are the model's, (B, C, H, W) or (B, H, W, C).
        metadata: texts stored in the file, for example `centernet`: the model's description.
        opset: version of the ONNX operators, 13 to 20; default: 17, or 19 where DeformConv is written.
        dynamic_batch: leave the first axis of inputs and outputs open.
        uint8_inputs: names of inputs that hold bytes, the levels of pixels; all others are float32.
        deform: how deformable convolutions are written: "gridsample" runs everywhere (opset 16 or later); "operator" is
            ONNX's DeformConv (opset 19 or later), which neither ONNX Runtime nor OpenVINO reads by itself.

    Raises:
        ExportError: a function has no ONNX counterpart here (its name is in the text), the network is built in training mode,
            or the batch cannot stay open.
    """
    functions = _functions(outputs)
    if opset is None:
        needs_operator = deform == "operator" and any(function.info.type_name == "DeformableConvolution" for function in functions)
        opset = deformable.OPERATOR_OPSET if needs_operator else OPSET
    if opset not in OPSETS:
        raise ExportError(f"ONNX opset {opset}: expected {OPSETS.start} to {OPSETS.stop - 1}")
    parameter_names = {variable: name for name, variable in nn.get_parameters(grad_only=False).items()}
    graph = GraphBuilder(parameter_names, dynamic_batch=dynamic_batch, opset=opset, deform=deform)
    for name, variable in inputs.items():
        graph.bind(variable, name)
        if name in uint8_inputs:
            graph.bind(variable, graph.node("Cast", [name], to=TensorProto.FLOAT))
    for name, variable in outputs.items():
        if not graph.is_bound(variable):
            graph.bind(variable, name)
    for function in functions:
        type_name = function.info.type_name
        if type_name not in CONVERTERS:
            raise ExportError(f"the NNabla function {type_name} cannot be written to ONNX; known: {', '.join(sorted(CONVERTERS))}")
        CONVERTERS[type_name](graph, function)
    for name, variable in outputs.items():
        if graph.tensor(variable) != name:
            graph.node("Identity", [graph.tensor(variable)], [name])
    values = {name: _described(graph, name, v, is_uint8=name in uint8_inputs) for name, v in {**outputs, **inputs}.items()}
    return _checked_model(graph, [values[name] for name in inputs], [values[name] for name in outputs], metadata or {}, opset)


def _functions(outputs: Mapping[str, nn.Variable]) -> list[Function]:
    """Every function the outputs depend on, each after those it depends on."""
    found: dict[Function, None] = {}
    for variable in outputs.values():
        variable.visit(found.setdefault)
    return list(found)


def _described(graph: GraphBuilder, name: str, variable: nn.Variable, *, is_uint8: bool) -> onnx.ValueInfoProto:
    batch = "batch" if graph.dynamic_batch else variable.shape[0]
    return helper.make_tensor_value_info(name, TensorProto.UINT8 if is_uint8 else TensorProto.FLOAT, [batch, *variable.shape[1:]])


def _checked_model(
    graph: GraphBuilder,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    metadata: Mapping[str, str],
    opset: int,
) -> onnx.ModelProto:
    proto = helper.make_graph(graph.nodes, "centernet", inputs, outputs, list(graph.initializers.values()))
    return checked(proto, metadata, opset=opset)


def checked(graph: onnx.GraphProto, metadata: Mapping[str, str], *, opset: int) -> onnx.ModelProto:
    """A graph as a model with its texts, checked.

    Raises:
        ExportError: ONNX's own check finds a fault.
    """
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="centernet", ir_version=IR_VERSION)
    helper.set_model_props(model, dict(metadata))
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the ONNX model does not pass ONNX's own check: {error}") from error
    return model


def with_metadata(model: onnx.ModelProto, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """A copy of a model that bears these texts, and no others."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    helper.set_model_props(copy, dict(metadata))
    return copy


def save_onnx(path: str | os.PathLike[str], model: onnx.ModelProto) -> None:
    """Write a model to a file, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts stored in an ONNX file.

    Raises:
        ExportError: the file is missing or not ONNX.
    """
    try:
        model = onnx.load(os.fspath(path), load_external_data=False)
    except Exception as error:  # protobuf's DecodeError is not importable without naming protobuf
        raise ExportError(f"{Path(path)}: cannot be read as ONNX: {error}") from error
    return {entry.key: entry.value for entry in model.metadata_props}
