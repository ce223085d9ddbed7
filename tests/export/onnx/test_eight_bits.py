from __future__ import annotations

from typing import Any

import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from centernet.export.onnx import network_nodes, to_onnx, with_unsigned_activations
from centernet.export.quantization import quantized
from centernet.inference.openvino_session import OpenVinoSession, openvino_core
from centernet.inference.session import OnnxRuntimeSession


def in_int8(*, zero_point: int) -> onnx.ModelProto:
    """Eight-bit activations, signed, through a convolution of eight-bit weights, 32 channels each."""
    rng = np.random.default_rng(0)
    constants = {
        "scale": np.float32(0.02),
        "zero": np.int8(zero_point),
        "weight": rng.integers(-127, 128, (32, 32, 3, 3)).astype(np.int8),
        "weight_scale": np.full(32, 0.001, np.float32),
        "weight_zero": np.zeros(32, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["levels"]),
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], ["w"], axis=0),
        helper.make_node("Conv", ["x", "w"], ["hm"], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "eight",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 32, 8, 8))],
        [helper.make_tensor_value_info("hm", TensorProto.FLOAT, (1, 32, 8, 8))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        value_info=[helper.make_tensor_value_info("levels", TensorProto.INT8, (1, 32, 8, 8))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("zero_point", [0, -100, -128, 127])
def test_activations_are_unsigned_weights_are_not_and_every_runtime_says_the_same(zero_point: int) -> None:
    model = in_int8(zero_point=zero_point)
    before = model.SerializeToString()
    result = with_unsigned_activations(model)
    assert model.SerializeToString() == before, "the model given was changed"
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in result.graph.initializer}
    assert constants["zero"].dtype == np.uint8
    assert constants["zero"] == zero_point + 128
    assert constants["weight"].dtype == constants["weight_zero"].dtype == np.int8
    image = np.random.default_rng(1).normal(size=(1, 32, 8, 8)).astype(np.float32)
    content = result.SerializeToString()
    expected = OnnxRuntimeSession(before).run(image)["hm"]
    np.testing.assert_array_equal(OnnxRuntimeSession(content).run(image)["hm"], expected)
    # A value on the border of two levels may fall on either side: 0.02 times 0.127.
    np.testing.assert_allclose(OpenVinoSession(content).run(image)["hm"], expected, atol=0.01)


def test_a_quantised_network_with_signed_features_says_the_same_in_every_runtime() -> None:
    """As where DLAv0 joins enlarged features, which have signs, with others."""
    pytest.importorskip("nncf")

    def network(x: nn.Variable) -> dict[str, nn.Variable]:
        h = F.relu(PF.convolution(x, 32, (3, 3), pad=(1, 1), name="first"))
        up = PF.convolution(h, 32, (3, 3), pad=(1, 1), name="up")
        h = F.relu(PF.convolution(F.concatenate(up, h, axis=1), 32, (3, 3), pad=(1, 1), name="root"))
        return {"hm": PF.convolution(h, 5, (1, 1), name="hm")}

    images = np.random.default_rng(2).normal(size=(4, 3, 16, 16)).astype(np.float32)
    x = nn.Variable((1, 3, 16, 16))
    model: Any = to_onnx(network(x), {"image": x}, dynamic_batch=True)
    inside = set(network_nodes(model))
    ignored = [node.name for node in model.graph.node if node.name not in inside]
    batches = [image[np.newaxis] for image in images]
    content = quantized(model, batches, ignored=ignored, input_name="image", core=openvino_core()).SerializeToString()
    one, other = (session.run(images)["hm"] for session in (OnnxRuntimeSession(content), OpenVinoSession(content)))
    whole = OnnxRuntimeSession(model.SerializeToString()).run(images)["hm"]
    assert abs(one - whole).max() > 1e-4, "nothing was rounded"
    assert abs(other - one).max() < 0.03 * np.ptp(whole)
