from __future__ import annotations

from pathlib import Path

import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
import numpy as np
import onnx
import pytest

from centernet.errors import ExportError, OutputError
from centernet.export.onnx import read_metadata, save_onnx, to_onnx
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.session import OnnxRuntimeSession


def test_an_unknown_function_is_named() -> None:
    x = nn.Variable((1, 3))
    with pytest.raises(ExportError, match="function Sin cannot be written"):
        to_onnx({"y": F.sin(x)}, {"x": x})


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_every_opset_that_is_offered_makes_a_valid_model(opset, image) -> None:
    x = nn.Variable(image.shape)
    y = F.greater_equal(PF.convolution(x, 4, (3, 3)), F.constant(0, (1, 4, 1, 1)))
    model = to_onnx({"y": y, "z": F.stack(x, x, axis=1), "m": F.max(x, axis=1), "n": F.mean(x, axis=1)}, {"x": x}, opset=opset)
    assert model.opset_import[0].version == opset


@pytest.mark.parametrize("opset", [12, 21])
def test_another_opset_is_refused(opset) -> None:
    x = nn.Variable((1, 3))
    with pytest.raises(ExportError, match="13 to 20"):
        to_onnx({"y": F.relu(x)}, {"x": x}, opset=opset)


def test_inputs_and_outputs_have_the_names_and_shapes_asked_for(image) -> None:
    x = nn.Variable((1, *image.shape[1:]))
    h = F.relu(x)
    model = to_onnx({"first": h, "second": F.exp(h)}, {"image": x}, dynamic_batch=True)
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {name: ["batch", 3, 8, 12] for name in ("image", "first", "second")}


@pytest.mark.parametrize("dynamic_batch", [True, False])
def test_an_input_of_bytes_is_uint8_and_takes_them(dynamic_batch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 12, 3), np.uint8)
    x, other = nn.Variable(pixels.shape), nn.Variable((1, 3))
    outputs = {"y": F.transpose(x, (0, 3, 1, 2)) * 2.0, "same": x, "z": F.relu(other)}
    model = to_onnx(outputs, {"image": x, "other": other}, dynamic_batch=dynamic_batch, uint8_inputs={"image"})
    assert [value.type.tensor_type.elem_type for value in model.graph.input] == [onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT]
    assert {value.type.tensor_type.elem_type for value in model.graph.output} == {onnx.TensorProto.FLOAT}
    del outputs["z"]
    model = to_onnx(outputs, {"image": x}, dynamic_batch=dynamic_batch, uint8_inputs={"image"}).SerializeToString()
    for session in (OnnxRuntimeSession(model), OpenVinoSession(model)):
        assert session.takes_pixels
        found = session.run(pixels)
        np.testing.assert_array_equal(found["y"], pixels.transpose(0, 3, 1, 2) * np.float32(2))
        np.testing.assert_array_equal(found["same"], pixels.astype(np.float32))


def test_one_variable_may_be_several_outputs_and_an_input_an_output(image) -> None:
    x = nn.Variable(image.shape)
    h = F.relu(x)
    found = OnnxRuntimeSession(to_onnx({"a": h, "b": h, "c": x}, {"x": x}).SerializeToString()).run(image)
    np.testing.assert_array_equal(found["a"], np.maximum(image, 0))
    np.testing.assert_array_equal(found["b"], found["a"])
    np.testing.assert_array_equal(found["c"], image)


def test_a_function_used_twice_is_written_once(image) -> None:
    x = nn.Variable(image.shape)
    h = F.exp(x)
    model = to_onnx({"a": F.relu(h), "b": F.sigmoid(h)}, {"x": x})
    assert sorted(node.op_type for node in model.graph.node) == ["Exp", "Relu", "Sigmoid"]


def test_a_shared_parameter_is_stored_once(image) -> None:
    x = nn.Variable(image.shape)
    y = PF.convolution(x, 3, (1, 1), with_bias=False, name="same")
    model = to_onnx({"y": PF.convolution(y, 3, (1, 1), with_bias=False, name="same")}, {"x": x})
    assert [tensor.name for tensor in model.graph.initializer] == ["same/conv/W"]


def test_the_metadata_come_back_from_the_file(tmp_path: Path) -> None:
    x = nn.Variable((1, 3))
    path = tmp_path / "new" / "model.onnx"
    save_onnx(path, to_onnx({"y": F.relu(x)}, {"x": x}, metadata={"centernet": '{"stride": 4}'}))
    onnx.checker.check_model(str(path))
    assert read_metadata(path) == {"centernet": '{"stride": 4}'}


@pytest.mark.parametrize("content", [None, b"\xff not ONNX"])
def test_metadata_of_what_is_no_onnx_file_are_refused(content, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ExportError, match=r"model\.onnx"):
        read_metadata(path)


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    x = nn.Variable((1, 3))
    with pytest.raises(OutputError, match="cannot be written"):
        save_onnx(tmp_path / "file" / "model.onnx", to_onnx({"y": F.relu(x)}, {"x": x}))
