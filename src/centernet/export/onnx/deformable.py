"""ONNX for NNabla's deformable convolution: the operator that says so, or a form that every runtime runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nnabla as nn
import numpy as np
from onnx import TensorProto

from centernet.errors import ExportError
from centernet.export.onnx.graph import Function, GraphBuilder

OPERATOR_OPSET = 19  # the first with DeformConv
SAMPLING_OPSET = 16  # the first with GridSample


def deformable_convolution(graph: GraphBuilder, function: Function) -> None:
    """Weight (O, I, kh, kw); of each tap an offset (dy, dx) in cells and, where given, a factor.

    As `graph.deform` says: "operator" writes DeformConv, which few runtimes know; "gridsample" writes one GridSample for all
    taps, then a 1x1 convolution.

    Raises:
        ExportError: it is grouped, dilated, or has a stride, or the opset is too old.
    """
    args = function.info.args
    plain = {"base_axis": 1, "stride": [1, 1], "dilation": [1, 1], "group": 1, "deformable_group": 1, "channel_last": False}
    for name, expected in plain.items():
        if args[name] != expected:
            raise ExportError(f"DeformableConvolution with {name} {args[name]} is not exported, only with {expected}")
    x, weight, offset, *rest = function.inputs
    mask = next((variable for variable in rest if len(variable.shape) == 4), None)
    bias = next((variable for variable in rest if len(variable.shape) == 1), None)
    if function.outputs[0].shape[2:] != x.shape[2:]:
        raise ExportError(f"DeformableConvolution with pad {args['pad']} is not exported, only where the size stays")
    write, opset = (_operator, OPERATOR_OPSET) if graph.deform == "operator" else (_samples, SAMPLING_OPSET)
    if graph.opset < opset:
        raise ExportError(f"DeformableConvolution as '{graph.deform}' needs ONNX opset {opset} or later, found {graph.opset}")
    write(graph, x, weight, offset, mask, bias, args["pad"], graph.result(function.outputs[0], "deformableconvolution"))


def _operator(
    graph: GraphBuilder, x: Any, weight: Any, offset: Any, mask: Any | None, bias: Any | None, pad: Sequence[int], target: str
) -> None:
    optional = ["" if variable is None else graph.tensor(variable) for variable in (bias, mask)]
    inputs = [graph.tensor(x), graph.tensor(weight), graph.tensor(offset), *optional]
    graph.node("DeformConv", inputs, [target], kernel_shape=weight.shape[2:], pads=[*pad, *pad])


def _samples(
    graph: GraphBuilder, x: Any, weight: Any, offset: Any, mask: Any | None, bias: Any | None, pad: Sequence[int], target: str
) -> None:
    batch, channels, height, width = x.shape
    taps = int(np.prod(weight.shape[2:]))
    places = graph.node("Reshape", [graph.tensor(offset), graph.batch_first((batch, taps, 2, height, width))])
    places = graph.node("Gather", [places, graph.integers(1, 0)], axis=2)  # GridSample wants x before y
    places = graph.node("Transpose", [places], perm=(0, 1, 3, 4, 2))
    # Height and width are read when the model runs, so that they can be left open.
    size = graph.node("Shape", [graph.tensor(x)])
    places = graph.node("Add", [places, _places(graph, size, weight.shape[2:], pad)])
    half = graph.node("Mul", [_as_float(graph, _at(graph, size, [3, 2])), graph.constant(np.array(0.5, np.float32))])
    places = graph.node("Sub", [graph.node("Div", [places, half]), graph.constant(np.array(1, np.float32))])
    places = graph.node("Reshape", [places, graph.batch_first((batch, taps * height, width, 2))])
    mode = "bilinear" if graph.opset < 20 else "linear"
    samples = graph.node("GridSample", [graph.tensor(x), places], mode=mode, padding_mode="zeros", align_corners=0)
    if mask is not None:
        factors = graph.node("Reshape", [graph.tensor(mask), graph.batch_first((batch, 1, taps * height, width))])
        samples = graph.node("Mul", [samples, factors])
    samples = graph.node("Reshape", [samples, graph.batch_first((batch, channels * taps, height, width))])
    graph.node("Conv", [samples, _flat_kernel(graph, weight), *([] if bias is None else [graph.tensor(bias)])], [target])


def _flat_kernel(graph: GraphBuilder, weight: nn.Variable) -> str:
    shape = (weight.shape[0], int(np.prod(weight.shape[1:])), 1, 1)
    if weight.parent is None:
        return graph.tensor(weight, graph.value(weight).reshape(shape))
    return graph.node("Reshape", [graph.tensor(weight), graph.integers(*shape)])


def _places(graph: GraphBuilder, size: str, kernel: Sequence[int], pad: Sequence[int]) -> str:
    """(1, taps, height, width, 2): where each tap looks without its offset, x and y, in cells from the map's edge."""
    rows, columns = np.indices(kernel).reshape(2, -1) - np.reshape(pad, (2, 1)) + 0.5  # a cell's middle
    places = graph.constant(np.stack([columns, rows], -1).reshape(1, -1, 1, 1, 2).astype(np.float32))
    for axis, shape, part in ((2, (1, 1, -1, 1, 1), (0, 1)), (3, (1, 1, 1, -1, 1), (1, 0))):
        # Counted in whole numbers: ONNX's Range knows no float16.
        ends = graph.constant(np.array(0)), _at(graph, size, axis), graph.constant(np.array(1))
        counted = graph.node("Reshape", [_as_float(graph, graph.node("Range", ends)), graph.integers(*shape)])
        places = graph.node("Add", [places, graph.node("Mul", [counted, graph.constant(np.array(part, np.float32))])])
    return places


def _at(graph: GraphBuilder, size: str, axes: int | Sequence[int]) -> str:
    return graph.node("Gather", [size, graph.constant(np.array(axes, np.int64))])


def _as_float(graph: GraphBuilder, integers: str) -> str:
    return graph.node("Cast", [integers], to=TensorProto.FLOAT)
