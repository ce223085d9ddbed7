"""ONNX for NNabla's functions over images: convolution, deconvolution, pooling, batch normalisation, affine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from centernet.errors import ExportError
from centernet.export.onnx.graph import NCHW_TO_NHWC, NHWC_TO_NCHW, Function, GraphBuilder


def _channels_first(graph: GraphBuilder, function: Function, write: Callable[[str, str], object]) -> None:
    """Let `write(input, output)` work in NCHW, which is all ONNX knows, whatever the function's layout is."""
    source, target = graph.tensor(function.inputs[0]), graph.result(function.outputs[0], function.info.type_name.lower())
    if not function.info.args.get("channel_last"):
        write(source, target)
        return
    inner = graph.fresh("nchw")
    write(graph.node("Transpose", [source], perm=NHWC_TO_NCHW), inner)
    graph.node("Transpose", [inner], [target], perm=NCHW_TO_NHWC)


def _window(function: Function) -> dict[str, Any]:
    args = function.info.args
    if args.get("base_axis", 1) != 1:
        raise ExportError(f"{function.info.type_name} with base_axis {args['base_axis']} has no ONNX counterpart; expected 1")
    return {"pads": list(args["pad"]) * 2, "strides": args["stride"], "dilations": args["dilation"], "group": args["group"]}


def convolution(graph: GraphBuilder, function: Function) -> None:
    """Weight (O, I/group, kh, kw), or (O, kh, kw, I/group) where channels are last."""
    _weighted(graph, function, "Conv", _window(function))


def deconvolution(graph: GraphBuilder, function: Function) -> None:
    """Weight (I, O/group, kh, kw), or (I, kh, kw, O/group) where channels are last."""
    _weighted(graph, function, "ConvTranspose", {**_window(function), "output_padding": function.info.args["output_padding"]})


def _weighted(graph: GraphBuilder, function: Function, operator: str, attributes: dict[str, Any]) -> None:
    weight, *bias = function.inputs[1:]
    value = graph.value(weight)
    if function.info.args["channel_last"]:
        value = value.transpose(NHWC_TO_NCHW)
    parameters = [graph.tensor(weight, value), *map(graph.tensor, bias)]
    _channels_first(graph, function, lambda x, y: graph.node(operator, [x, *parameters], [y], **attributes))


def max_pooling(graph: GraphBuilder, function: Function) -> None:
    """Padding never wins; with ignore_border False the last window may hang over the end."""
    args = function.info.args
    kernel, stride, pad = args["kernel"], args["stride"], args["pad"]
    axes = slice(1, 3) if args["channel_last"] else slice(2, None)
    have, want = function.inputs[0].shape[axes], function.outputs[0].shape[axes]
    # Explicit padding instead of ONNX's ceil_mode, whose rounding the runtimes do not agree on.
    end = [max(p, (out - 1) * s + k - size - p) for out, s, k, size, p in zip(want, stride, kernel, have, pad, strict=True)]
    attributes = {"kernel_shape": kernel, "strides": stride, "pads": [*pad, *end]}
    _channels_first(graph, function, lambda x, y: graph.node("MaxPool", [x], [y], **attributes))


def interpolate(graph: GraphBuilder, function: Function) -> None:
    """Enlargement by repeating cells, a whole number of times."""
    args, y = function.info.args, function.outputs[0]
    axes = slice(1, 3) if args["channel_last"] else slice(2, None)
    factors = [out / size for out, size in zip(y.shape[axes], function.inputs[0].shape[axes], strict=True)]
    if args["mode"] != "nearest" or args["align_corners"] or any(factor != int(factor) for factor in factors):
        found = f"mode '{args['mode']}', align_corners {args['align_corners']}, factors {factors}"
        raise ExportError(f"Interpolate with {found} is not exported, only 'nearest' by whole numbers without align_corners")
    scales = graph.constant(np.array([1, 1, *factors], np.float32))
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    _channels_first(graph, function, lambda x, y: graph.node("Resize", [x, "", scales], [y], **attributes))


def batch_normalization(graph: GraphBuilder, function: Function) -> None:
    """With running statistics; one that measures its batch cannot be exported."""
    args = function.info.args
    if args["batch_stat"]:
        raise ExportError("a BatchNormalization uses the statistics of its batch; build the network in inference mode to export it")
    x, *parameters = function.inputs  # beta and gamma are there or not
    target = graph.result(function.outputs[0], "batchnormalization")
    if args["axes"] == [1] and len(parameters) == 4:
        beta, gamma, *statistics = (graph.tensor(v, graph.value(v).reshape(-1)) for v in parameters)
        graph.node("BatchNormalization", [graph.tensor(x), gamma, beta, *statistics], [target], epsilon=args["eps"])
        return
    values = [graph.value(v) for v in parameters]
    scale = 1 / np.sqrt(values.pop().astype(np.float64) + args["eps"])
    mean = values.pop()
    scale = scale if args["no_scale"] else scale * values.pop()
    shift = (0 if args["no_bias"] else values.pop()) - mean * scale
    scaled = graph.node("Mul", [graph.tensor(x), graph.constant(scale.astype(np.float32))])
    graph.node("Add", [scaled, graph.constant(shift.astype(np.float32))], [target])


def affine(graph: GraphBuilder, function: Function) -> None:
    """Rows x weight (I, O) + bias, everything after the batch axis flattened."""
    x, weight, *bias = function.inputs
    if function.info.args["base_axis"] != 1 or len(weight.shape) != 2:
        raise ExportError(f"Affine with base_axis {function.info.args['base_axis']} and weight {weight.shape} has no ONNX counterpart")
    flat = graph.node("Reshape", [graph.tensor(x), graph.batch_first((x.shape[0], weight.shape[0]))])
    target = graph.result(function.outputs[0], "affine")
    graph.node("Gemm", [flat, graph.tensor(weight), *map(graph.tensor, bias)], [target])
