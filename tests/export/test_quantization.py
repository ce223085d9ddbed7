from __future__ import annotations

import sys
from typing import Any

import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
import numpy as np
import openvino
import pytest

from centernet.errors import DeviceError
from centernet.export import quantization
from centernet.export.onnx import network_nodes, to_onnx
from centernet.export.quantization import quantized
from centernet.inference.openvino_session import OpenVinoSession, openvino_core
from centernet.inference.session import NnablaSession, OnnxRuntimeSession


def network(x: nn.Variable) -> dict[str, nn.Variable]:
    h = F.relu(PF.convolution(x, 16, (3, 3), pad=(1, 1), name="first"))
    return {"hm": PF.convolution(h, 3, (3, 3), pad=(1, 1), name="hm") + 1000.0}


def onnx_model(image: np.ndarray) -> Any:
    x = nn.Variable((1, *image.shape[1:]))
    return to_onnx(network(x), {"image": x}, dynamic_batch=True)


@pytest.mark.parametrize("format_", ["onnx", "openvino"])
def test_convolutions_compute_in_eight_bits_and_the_rest_does_not(format_: str, image) -> None:
    pytest.importorskip("nncf")
    model, core = onnx_model(image), openvino.Core
    batches = [image[:1], image[1:]]
    inside = set(network_nodes(model))
    if format_ == "onnx":
        ignored = [node.name for node in model.graph.node if node.name not in inside]
        result = quantized(model, batches, ignored=ignored, input_name="image", core=openvino_core())
        assert "QuantizeLinear" in {node.op_type for node in result.graph.node}
        assert "QuantizeLinear" not in {node.op_type for node in model.graph.node}, "the model given was changed"
        content = result.SerializeToString()
        sessions = [OnnxRuntimeSession(content), OpenVinoSession(content)]
    else:
        read = openvino_core().read_model(model.SerializeToString())
        names = [node.get_friendly_name() for node in read.get_ops()]
        ignored = [name for name in names if name.removesuffix("/WithoutBiases") not in inside]
        result = quantized(read, batches, ignored=ignored, input_name=None, core=openvino_core())
        compiled = openvino_core().compile_model(result, "CPU")
        expected = NnablaSession(network).run(image[:1])["hm"]
        difference = abs(compiled(image[:1])["hm"] - expected).max()
        assert 1e-5 < difference < 0.2
        sessions = []
    assert openvino.Core is core
    for session in sessions:
        difference = abs(session.run(image)["hm"] - NnablaSession(network).run(image)["hm"]).max()
        assert 1e-5 < difference < 0.2, session.summary


def test_what_is_not_installed_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(DeviceError, match=r"nncf is not installed; `pip install 'centernet-nnabla\[int8\]'`"):
        quantization.check_installed()


def test_of_nncfs_progress_bars_none_is_seen(image, capfd: pytest.CaptureFixture[str]) -> None:
    """One for each of its steps would be, here too, where nobody looks at a terminal."""
    pytest.importorskip("nncf")
    capfd.readouterr()
    quantized(onnx_model(image), [image[:1], image[1:]], ignored=[], input_name="image", core=openvino_core())
    assert capfd.readouterr() == ("", "")
