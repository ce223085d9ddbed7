from __future__ import annotations

from collections import Counter

import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from centernet.errors import ExportError
from centernet.export.onnx import in_float16, network_nodes, to_onnx, with_bfloat16_weights
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.session import NnablaSession, OnnxRuntimeSession


def network(x: nn.Variable) -> dict[str, nn.Variable]:
    """Levels made small, two convolutions, and a number that only float32 holds."""
    normal = (x + (-128.0)) * 0.01
    h = F.max_pooling(F.relu(PF.convolution(normal, 16, (3, 3), pad=(1, 1), name="first")), (2, 2))
    skip = F.add2(PF.convolution(h, 16, (3, 3), pad=(1, 1), name="second"), h)
    maps = PF.convolution(skip, 2, (1, 1), name="last")
    return {"maps": maps, "far": maps * 1e-3 + 70001.0}


@pytest.fixture
def levels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 3, 16, 24)).astype(np.float32)


def model_of(image: np.ndarray) -> onnx.ModelProto:
    x = nn.Variable((1, *image.shape[1:]))
    return to_onnx(network(x), {"image": x}, dynamic_batch=True, metadata={"note": "kept"})


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    return {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.input, *inferred.output)}


@pytest.mark.parametrize(("reduce", "atol"), [(in_float16, 0.01), (with_bfloat16_weights, 0.05)])
def test_a_reduced_model_is_nearly_the_network_in_every_runtime(reduce, atol, levels) -> None:
    exact = NnablaSession(network).run(levels)
    whole = model_of(levels)
    model = reduce(whole)
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [("note", "kept")]
    content = model.SerializeToString()
    assert len(content) < 0.75 * len(whole.SerializeToString())
    for session in (OnnxRuntimeSession(content), OpenVinoSession(content)):
        found = session.run(levels)
        difference = abs(found["maps"] - exact["maps"]).max()
        assert 1e-6 < difference < atol, session.summary
        np.testing.assert_allclose(found["far"], exact["far"], atol=0.02, rtol=0, err_msg=session.summary)


def test_only_what_lies_between_the_first_and_the_last_convolution_is_in_float16(levels) -> None:
    whole = model_of(levels)
    assert Counter(node.op_type for node in whole.graph.node if node.name in network_nodes(whole)) == {
        "Conv": 3, "Relu": 1, "MaxPool": 1, "Add": 1,
    }  # fmt: skip
    half = in_float16(whole)
    types = types_of(half)
    for node in half.graph.node:
        expected = TensorProto.FLOAT16 if node.op_type in ("Conv", "Relu", "MaxPool") else TensorProto.FLOAT
        if node.op_type not in ("Cast", "Add"):
            assert types[node.output[0]] == expected, node
    assert types["image"] == types["maps"] == types["far"] == TensorProto.FLOAT


def test_a_parameter_beyond_float16_is_named(levels) -> None:
    model = model_of(levels)
    nn.get_parameters()["second/conv/W"].d = 1e5
    model = model_of(levels)
    with pytest.raises(ExportError, match=r"'second/conv/W' reaches 100000, float16 holds up to 65504; use --precision bfloat16"):
        in_float16(model)


def test_bfloat16_is_the_nearest_with_ties_to_even(levels) -> None:
    model_of(levels)
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -3.14159], np.float32)
    weights = nn.get_parameters()["last/conv/W"]
    weights.d = np.resize(values, weights.shape)
    model = with_bfloat16_weights(model_of(levels))
    (kept,) = (tensor for tensor in model.graph.initializer if tensor.name == "last/conv/W_bfloat16")
    assert kept.data_type == TensorProto.BFLOAT16
    upper_halves = np.frombuffer(kept.raw_data, np.uint16)[:5]
    found = (upper_halves.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(found, np.array([1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -3.140625], np.float32))
