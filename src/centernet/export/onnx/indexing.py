"""ONNX for NNabla's functions that move elements: reshape, transpose, slice, join, gather, top-K, constants."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from centernet.errors import ExportError
from centernet.export.onnx.graph import Function, GraphBuilder


def reshape(graph: GraphBuilder, function: Function) -> None:
    """NNabla records one -1 or the sizes; the sizes are what counts here."""
    x, y = function.inputs[0], function.outputs[0]
    graph.node("Reshape", [graph.tensor(x), graph.batch_first(y.shape)], [graph.result(y, "reshape")])


def transpose(graph: GraphBuilder, function: Function) -> None:
    """Axes in another order."""
    target = graph.result(function.outputs[0], "transpose")
    graph.node("Transpose", [graph.tensor(function.inputs[0])], [target], perm=function.info.args["axes"])


def slice_(graph: GraphBuilder, function: Function) -> None:
    """Only the axes that are really cut are named, so that a whole batch axis stays open. NNabla names all axes or the last ones."""
    x, args = function.inputs[0], function.info.args
    whole = (0, None, 1)
    first = len(x.shape) - len(args["start"])
    cuts = [
        (axis, start, stop, step)
        for axis, (start, stop, step, size) in enumerate(
            zip(args["start"], args["stop"], args["step"], x.shape[first:], strict=True), start=first
        )
        if (start, None if stop == size else stop, step) != whole
    ]
    target = graph.result(function.outputs[0], "slice")
    if not cuts:
        graph.node("Identity", [graph.tensor(x)], [target])
        return
    axes, starts, stops, steps = zip(*cuts, strict=True)
    graph.node("Slice", [graph.tensor(x), *(graph.integers(*values) for values in (starts, stops, axes, steps))], [target])


def concatenate(graph: GraphBuilder, function: Function) -> None:
    """Join along an axis that exists."""
    target = graph.result(function.outputs[0], "concatenate")
    graph.node("Concat", [graph.tensor(v) for v in function.inputs], [target], axis=function.info.args["axis"])


def stack(graph: GraphBuilder, function: Function) -> None:
    """Join along a new axis."""
    axis = function.info.args["axis"]
    parts = [graph.node("Unsqueeze", [graph.tensor(v), graph.integers(axis)]) for v in function.inputs]
    graph.node("Concat", parts, [graph.result(function.outputs[0], "stack")], axis=axis)


def pad(graph: GraphBuilder, function: Function) -> None:
    """More of the last axes, filled with one number."""
    args, x = function.info.args, function.inputs[0]
    if args["mode"] != "constant":
        raise ExportError(f"Pad with mode '{args['mode']}' is not exported, only 'constant'")
    widths = [0] * (2 * len(x.shape) - len(args["pad_width"])) + list(args["pad_width"])
    value = graph.constant(np.array(args["constant_value"], np.float32))
    target = graph.result(function.outputs[0], "pad")
    graph.node("Pad", [graph.tensor(x), graph.integers(*widths[::2], *widths[1::2]), value], [target])


def broadcast(graph: GraphBuilder, function: Function) -> None:
    """Repeat axes of size 1."""
    x, y = function.inputs[0], function.outputs[0]
    if graph.dynamic_batch and x.shape[0] != y.shape[0]:
        raise ExportError(f"Broadcast from {x.shape} to {y.shape} repeats along the batch, which cannot stay open; export a fixed batch")
    # An axis asked to be 1 keeps what it is, which leaves the batch open.
    shape = [1 if have == want else want for have, want in zip(x.shape, y.shape, strict=True)]
    graph.node("Expand", [graph.tensor(x), graph.integers(*shape)], [graph.result(y, "broadcast")])


def top_k_data(graph: GraphBuilder, function: Function) -> None:
    """The k largest of everything after `base_axis`, in falling order, and where they were."""
    args, x = function.info.args, function.inputs[0]
    if args["abs"] or not args["reduce"] or not args["largest"]:
        raise ExportError("TopKData is exported only as F.top_k_data(x, k, abs=False, reduce=True, largest=True)")
    outer, inner = x.shape[: args["base_axis"]], int(np.prod(x.shape[args["base_axis"] :]))
    if inner > 1 << 24:
        raise ExportError(f"TopKData over {inner} elements: an index above {1 << 24} is not exact in float32; use a smaller input size")
    flat = graph.tensor(x)
    if x.shape != (*outer, inner):
        flat = graph.node("Reshape", [flat, graph.batch_first((*outer, inner))])
    index = graph.fresh("topk_index")
    target = graph.result(function.outputs[0], "topk")
    graph.node("TopK", [flat, graph.integers(args["k"])], [target, index], axis=len(outer), largest=1, sorted=1)
    if args["with_index"]:
        graph.node("Cast", [index], [graph.result(function.outputs[1], "topk_index")], to=TensorProto.FLOAT)


def maximum(graph: GraphBuilder, function: Function) -> None:
    """The largest along some axes."""
    args = function.info.args
    if args["with_index"] or args["only_index"]:
        raise ExportError("Max is exported only as F.max(x, axis, keepdims), without places")
    _reduced(graph, function, "ReduceMax")


def mean(graph: GraphBuilder, function: Function) -> None:
    """Over some axes."""
    _reduced(graph, function, "ReduceMean")


def _reduced(graph: GraphBuilder, function: Function, operator: str) -> None:
    args = function.info.args
    source, target = graph.tensor(function.inputs[0]), graph.result(function.outputs[0], function.info.type_name.lower())
    if graph.opset < 18:  # where axes became a tensor
        graph.node(operator, [source], [target], axes=args["axes"], keepdims=int(args["keep_dims"]))
    else:
        graph.node(operator, [source, graph.integers(*args["axes"])], [target], keepdims=int(args["keep_dims"]))


def gather(graph: GraphBuilder, function: Function) -> None:
    """Entries along one axis, the same for the whole batch or other ones for each of it."""
    args, (x, indices) = function.info.args, function.inputs
    axis, batch_dims = args["axis"] % len(x.shape), args["batch_dims"]
    index = graph.node("Cast", [graph.tensor(indices)], to=TensorProto.INT64)
    target = graph.result(function.outputs[0], "gather")
    if not batch_dims:
        graph.node("Gather", [graph.tensor(x), index], [target], axis=axis)
        return
    # ONNX's Gather has no batch axes; its GatherND has, and gathers whatever lies behind the indexed axis.
    before = list(range(batch_dims, axis))
    order = [*range(batch_dims), axis, *before, *range(axis + 1, len(x.shape))]
    rows = graph.tensor(x) if not before else graph.node("Transpose", [graph.tensor(x)], perm=order)
    index = graph.node("Unsqueeze", [index, graph.integers(len(indices.shape))])
    inner = len(indices.shape) - batch_dims
    if not before:
        graph.node("GatherND", [rows, index], [target], batch_dims=batch_dims)
        return
    gathered = graph.node("GatherND", [rows, index], batch_dims=batch_dims)
    moved = batch_dims + inner
    back = [*range(batch_dims), *range(moved, moved + len(before)), *range(batch_dims, moved)]
    back += range(moved + len(before), moved + len(before) + len(x.shape) - axis - 1)
    graph.node("Transpose", [gathered], [target], perm=back)


def gather_nd(graph: GraphBuilder, function: Function) -> None:
    """NNabla has the coordinates along the first axis of the indices, ONNX along the last."""
    x, indices = function.inputs
    index = graph.node("Cast", [graph.tensor(indices)], to=TensorProto.INT64)
    index = graph.node("Transpose", [index], perm=[*range(1, len(indices.shape)), 0])
    graph.node("GatherND", [graph.tensor(x), index], [graph.result(function.outputs[0], "gathernd")])


def constant(graph: GraphBuilder, function: Function) -> None:
    """One number everywhere."""
    graph.bind(function.outputs[0], graph.constant(np.full(function.outputs[0].shape, function.info.args["val"], np.float32)))


def arange(graph: GraphBuilder, function: Function) -> None:
    """Evenly spaced numbers."""
    args, y = function.info.args, function.outputs[0]
    graph.bind(y, graph.constant((args["start"] + args["step"] * np.arange(y.shape[0])).astype(np.float32)))
