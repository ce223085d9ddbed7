"""ONNX models in eight bits as OpenVINO and ONNX Runtime compute them alike."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


def with_unsigned_activations(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with activations as uint8 where they were int8: 128 more, and so is their zero point, which changes no result.

    Measured with OpenVINO 2026.4.1 on one Xeon with AVX512-VNNI and without AMX: of a network whose convolution reads signed
    features that were concatenated with unsigned ones the answer was off by 1.1 where it spans 1.8, with uint8 by 1e-7 (ONNX Runtime
    gives the expected one either way). Single convolutions that read int8 (16, 32 and 64 channels, 1x1 and 3x3) were right there.
    Other processors were not tried.
    """
    result = onnx.ModelProto.FromString(model.SerializeToString())
    graph = result.graph
    made = {name for node in graph.node if node.op_type == "QuantizeLinear" for name in node.output}
    pairs = [
        node
        for node in graph.node
        if len(node.input) > 2 and (node.op_type == "QuantizeLinear" or (node.op_type == "DequantizeLinear" and node.input[0] in made))
    ]
    zero_points = {node.input[2] for node in pairs}
    shifted = {tensor.name for tensor in graph.initializer if tensor.name in zero_points and tensor.data_type == TensorProto.INT8}
    for tensor in graph.initializer:
        if tensor.name in shifted:
            levels = (numpy_helper.to_array(tensor).astype(np.int16) + 128).astype(np.uint8)
            tensor.CopyFrom(numpy_helper.from_array(levels, tensor.name))
    retyped = shifted | {node.output[0] for node in pairs if node.op_type == "QuantizeLinear" and node.input[2] in shifted}
    for value in graph.value_info:
        if value.name in retyped:
            value.type.tensor_type.elem_type = TensorProto.UINT8
    return result
