"""ONNX for NNabla's elementwise functions: a row each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from centernet.export.onnx.graph import Function, GraphBuilder

Converter = Callable[[GraphBuilder, Function], None]

SAME = {
    "ReLU": "Relu",
    "Sigmoid": "Sigmoid",
    "Exp": "Exp",
    "Floor": "Floor",
    "Identity": "Identity",
    "Add2": "Add",
    "AddN": "Sum",
    "Sub2": "Sub",
    "Mul2": "Mul",
    "Div2": "Div",
    "Maximum2": "Max",
    "Minimum2": "Min",
}
# NNabla's name: (ONNX operator, the number comes first)
WITH_NUMBER = {
    "AddScalar": ("Add", False),
    "MulScalar": ("Mul", False),
    "PowScalar": ("Pow", False),
    "RSubScalar": ("Sub", True),
    "RDivScalar": ("Div", True),
    "MaximumScalar": ("Max", False),
    "MinimumScalar": ("Min", False),
}
COMPARISONS = {
    "Equal": "Equal",
    "Greater": "Greater",
    "GreaterEqual": "GreaterOrEqual",
    "Less": "Less",
    "LessEqual": "LessOrEqual",
}


def _same(operator: str) -> Converter:
    def convert(graph: GraphBuilder, function: Function) -> None:
        target = graph.result(function.outputs[0], operator.lower())
        graph.node(operator, [graph.tensor(v) for v in function.inputs], [target])

    return convert


def _with_number(operator: str, number_first: bool) -> Converter:
    def convert(graph: GraphBuilder, function: Function) -> None:
        operands = [graph.tensor(function.inputs[0]), graph.constant(np.array(function.info.args["val"], np.float32))]
        graph.node(operator, operands[::-1] if number_first else operands, [graph.result(function.outputs[0], operator.lower())])

    return convert


def _comparison(operator: str) -> Converter:
    """NNabla answers 0.0 and 1.0, ONNX truth values."""

    def convert(graph: GraphBuilder, function: Function) -> None:
        operands = [graph.tensor(function.inputs[0])]
        if function.info.type_name.endswith("Scalar"):
            operands.append(graph.constant(np.array(function.info.args["val"], np.float32)))
        else:
            operands.append(graph.tensor(function.inputs[1]))
        truth = graph.node(operator, operands)
        graph.node("Cast", [truth], [graph.result(function.outputs[0], operator.lower())], to=TensorProto.FLOAT)

    return convert


def where(graph: GraphBuilder, function: Function) -> None:
    """NNabla's condition is true where it is not 0."""
    condition, *branches = (graph.tensor(v) for v in function.inputs)
    truth = graph.node("Cast", [condition], to=TensorProto.BOOL)
    graph.node("Where", [truth, *branches], [graph.result(function.outputs[0], "where")])


ARITHMETIC: dict[str, Converter] = {
    **{name: _same(operator) for name, operator in SAME.items()},
    **{name: _with_number(*how) for name, how in WITH_NUMBER.items()},
    **{name: _comparison(operator) for name, operator in COMPARISONS.items()},
    **{f"{name}Scalar": _comparison(operator) for name, operator in COMPARISONS.items()},
    "Where": where,
}
