from __future__ import annotations

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet.export.onnx.arithmetic import ARITHMETIC

FUNCTIONS = {
    "ReLU": F.relu,
    "Sigmoid": F.sigmoid,
    "Exp": F.exp,
    "Floor": F.floor,
    "Identity": F.identity,
    "Add2": lambda x: x + x,
    "AddN": lambda x: F.add_n(x, x, x),
    "Sub2": lambda x: x - F.sigmoid(x),
    "Mul2": lambda x: x * x,
    "Div2": lambda x: x / F.exp(x),
    "Maximum2": lambda x: F.maximum2(x, F.sigmoid(x)),
    "Minimum2": lambda x: F.minimum2(x, F.sigmoid(x)),
    "AddScalar": lambda x: x + 0.5,
    "MulScalar": lambda x: x * 0.5,
    "PowScalar": lambda x: F.pow_scalar(F.exp(x), 1.5),
    "RSubScalar": lambda x: 2 - x,
    "RDivScalar": lambda x: 2 / F.exp(x),
    "MaximumScalar": lambda x: F.maximum_scalar(x, 0.25),
    "MinimumScalar": lambda x: F.minimum_scalar(x, 0.25),
    "Equal": lambda x: F.equal(x, F.relu(x)),
    "Greater": lambda x: F.greater(x, F.relu(x)),
    "GreaterEqual": lambda x: F.greater_equal(x, F.relu(x)),
    "Less": lambda x: F.less(x, F.relu(x)),
    "LessEqual": lambda x: F.less_equal(x, F.relu(x)),
    "EqualScalar": lambda x: F.equal_scalar(F.relu(x), 0),
    "GreaterScalar": lambda x: F.greater_scalar(x, 0.25),
    "GreaterEqualScalar": lambda x: F.greater_equal_scalar(x, 0.25),
    "LessScalar": lambda x: F.less_scalar(x, 0.25),
    "LessEqualScalar": lambda x: F.less_equal_scalar(x, 0.25),
    "Where": lambda x: F.where(F.greater_scalar(x, 0.25), x, F.exp(x)),
}


def test_every_arithmetic_function_that_is_written_is_tested() -> None:
    assert set(FUNCTIONS) == set(ARITHMETIC)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_elementwise_function_gives_the_same_numbers(name, agree, image) -> None:
    used: list[str] = []
    FUNCTIONS[name](nn.Variable(image.shape)).visit(lambda function: used.append(function.info.type_name))
    assert name in used
    agree(lambda x: {"y": FUNCTIONS[name](x)}, image)


def test_operands_are_broadcast_as_in_nnabla(agree, image) -> None:
    weight = nn.Variable.from_numpy_array(np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1))
    agree(lambda x: {"y": x * weight}, image, dynamic_batch=True)
