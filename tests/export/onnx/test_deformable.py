from __future__ import annotations

from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from centernet.errors import ExportError
from centernet.export.onnx import in_float16, to_onnx, with_open_size
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.session import OnnxRuntimeSession
from centernet.models.deformable import deformable_convolution
from centernet.models.initial import normal
from centernet.models.ops import Ops


def outputs(x: nn.Variable, layout: Any = "nchw") -> dict[str, nn.Variable]:
    """A layer whose samples are scattered by more than a cell, also across the border; the same numbers at every call."""
    y = deformable_convolution(x, Ops(layout=layout), 5, initial=normal(0.3))
    for index, variable in enumerate(nn.get_parameters().values()):
        variable.d = np.random.default_rng(index).standard_normal(variable.shape) * 0.3
    return {"y": y}


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("size", [(8, 12), (5, 1), (1, 6)])
@pytest.mark.parametrize("dynamic_batch", [False, True])
def test_samples_give_the_same_numbers_in_every_runtime(size: tuple[int, int], dynamic_batch: bool, agree) -> None:
    image = np.random.default_rng(9).standard_normal((2, 3, *size)).astype(np.float32)
    agree(outputs, image, atol=2e-5, dynamic_batch=dynamic_batch)


def test_samples_give_the_same_numbers_without_factors_and_bias(agree, image) -> None:
    rng = np.random.default_rng(1)
    weight = nn.Variable.from_numpy_array(rng.standard_normal((4, 3, 3, 3)).astype(np.float32))

    def build(x: nn.Variable) -> dict[str, nn.Variable]:
        offset = F.concatenate(*[x * 0.7] * 6, axis=1)
        return {"y": F.deformable_convolution(x, weight, offset, pad=(1, 1))}

    agree(build, image, atol=2e-5)


def test_a_channels_last_layer_is_written_as_it_computes() -> None:
    x = nn.Variable((1, 6, 7, 3))
    with nn.auto_forward(False):
        found = outputs(x, layout="nhwc")
    assert "GridSample" in operators(to_onnx(found, {"x": x}))


def test_the_operator_gives_the_same_numbers_in_onnx_own_evaluator(image) -> None:
    x = nn.Variable.from_numpy_array(image)
    y = outputs(x)["y"]
    model = to_onnx({"y": y}, {"x": x}, opset=19, deform="operator")
    assert operators(model).count("DeformConv") == 1
    assert "GridSample" not in operators(model)
    y.forward()
    (found,) = ReferenceEvaluator(model).run(None, {"x": image})
    np.testing.assert_allclose(found, y.d, atol=2e-5)


@pytest.mark.parametrize(("with_factors", "with_bias"), [(True, True), (True, False), (False, True), (False, False)])
def test_openvino_reads_the_operator_as_its_own(with_factors: bool, with_bias: bool, image) -> None:
    rng = np.random.default_rng(1)
    values = {"weight": (4, 3, 3, 3), "offset": (2, 18, 8, 12), "mask": (2, 9, 8, 12), "bias": (4,)}
    arrays = {name: nn.Variable.from_numpy_array(rng.standard_normal(shape).astype(np.float32)) for name, shape in values.items()}
    optional = {"mask": with_factors, "bias": with_bias}
    given = {name: array for name, array in arrays.items() if optional.get(name, True)}
    x = nn.Variable.from_numpy_array(image)
    y = F.deformable_convolution(x, pad=(1, 1), **given)
    y.forward()
    session = OpenVinoSession(to_onnx({"y": y}, {"x": x}, opset=19, deform="operator").SerializeToString())
    np.testing.assert_allclose(session.run(image)["y"], y.d, atol=2e-5)
    assert any(operation.get_type_name() == "DeformableConvolution" for operation in session._model.get_ops())


@pytest.mark.parametrize(("deform", "opset"), [("operator", 18), ("gridsample", 15)])
def test_an_opset_without_the_operator_is_refused(deform: Any, opset: int) -> None:
    x = nn.Variable((1, 3, 4, 4))
    with pytest.raises(ExportError, match=f"'{deform}' needs ONNX opset {opset + 1} or later, found {opset}"):
        to_onnx(outputs(x), {"x": x}, opset=opset, deform=deform)


def test_other_kinds_are_refused(image) -> None:
    x = nn.Variable((1, 4, 6, 6))
    weight, offset, mask = nn.Variable((2, 2, 3, 3)), nn.Variable((1, 18, 6, 6)), nn.Variable((1, 9, 6, 6))
    grouped = F.deformable_convolution(x, weight, offset, mask, pad=(1, 1), group=2)
    with pytest.raises(ExportError, match="DeformableConvolution with group 2"):
        to_onnx({"y": grouped}, {"x": x})


def test_only_a_network_that_has_the_operator_asks_for_its_opset() -> None:
    x = nn.Variable((1, 3, 4, 4))
    versions = [
        to_onnx(found, {"x": x}, deform=deform).opset_import[0].version
        for found, deform in ((outputs(x), "operator"), (outputs(x), "gridsample"), ({"y": F.relu(x)}, "operator"))
    ]
    assert versions == [19, 17, 17]


@pytest.mark.parametrize("deform", ["gridsample", "operator"])
def test_height_and_width_can_stay_open(deform: Any) -> None:
    def write(size: tuple[int, int]) -> onnx.ModelProto:
        x = nn.Variable((1, 3, *size))
        return to_onnx(outputs(x), {"x": x}, dynamic_batch=True, deform=deform)

    model = with_open_size(write, input_name="x", axes=(2, 3), unit=4, base=(8, 8)).SerializeToString()
    session = OpenVinoSession(model)
    for size in ((8, 12), (20, 16)):
        image = nn.Variable.from_numpy_array(np.random.default_rng(2).standard_normal((2, 3, *size)).astype(np.float32))
        expected = outputs(image)["y"]
        expected.forward()
        np.testing.assert_allclose(session.run(image.d)["y"], expected.d, atol=2e-5)
        if deform == "gridsample":
            np.testing.assert_allclose(OnnxRuntimeSession(model).run(image.d)["y"], expected.d, atol=2e-5)


@pytest.mark.parametrize("deform", ["gridsample", "operator"])
def test_halved_models_stay_near(deform: Any, image) -> None:
    x = nn.Variable.from_numpy_array(image)
    y = outputs(x)["y"]
    y.forward()
    model = in_float16(to_onnx({"y": y}, {"x": x}, deform=deform)).SerializeToString()
    for session in (OpenVinoSession(model), *([OnnxRuntimeSession(model)] if deform == "gridsample" else [])):
        assert np.abs(session.run(image)["y"] - y.d).max() < 0.03 * y.d.std(), session.summary
