"""The whole detectors of both families: the same boxes whatever runs them."""

from __future__ import annotations

from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.export.nnp import save_nnp
from centernet.export.onnx import to_onnx
from centernet.inference import openvino_session as sessions
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.session import NnablaSession, NnpSession, OnnxRuntimeSession
from centernet.models.backbones import dla, dlav0, mobilenet_v2, mobilenet_v3, resnet, resnext
from centernet.models.color import normalized
from centernet.models.heads import conv
from centernet.models.necks import bifpn, deconv, dla_up, dlav0_up, fpn, ida, resdcn
from centernet.models.network import Network
from centernet.models.specs import HeadSpec
from centernet.tasks.ctdet.decode import decode_centers
from centernet.tasks.ctdet.graph import decode_graph

HEADS = {
    "heatmap": HeadSpec(scope="hm", channels=5, kind="heatmap", bias=-2.19),
    "offset": HeadSpec(scope="reg", channels=2, kind="regression"),
    "size": HeadSpec(scope="wh", channels=2, kind="regression"),
}
PARTS: dict[str, tuple[Any, Any]] = {
    "resnet18": (resnet.Config(num_layers=18, width=0.25), deconv.Config(width=0.25)),
    "resnet50": (resnet.Config(num_layers=50, width=0.125), deconv.Config(width=0.125)),
    "dlav0": (dlav0.Config(), dlav0_up.Config()),
    "dla": (dla.Config(width=0.25), dla_up.Config()),
    "mobilenet_v2": (mobilenet_v2.Config(width=0.5), ida.Config()),
    "mobilenet_v3": (mobilenet_v3.Config(width=0.5), bifpn.Config()),
    "resnext": (resnext.Config(width=0.125), fpn.Config(width=0.125)),
    "resdcn": (resnet.Config(num_layers=18, width=0.25), resdcn.Config(width=0.25)),
}
SLOW = ("mobilenet_v2", "mobilenet_v3", "resnext")


def random_network(name: str, layout: str = "nchw") -> Network:
    """A network with random parameters, the same numbers in both layouts."""
    shapes = Network(*PARTS[name], conv.Config(), HEADS, layout="nchw").parameter_shapes()
    network = Network(*PARTS[name], conv.Config(), HEADS, layout=layout)
    rng = np.random.default_rng(7)
    with nn.auto_forward(False):
        parameters = network.parameters()
    for key, shape in shapes.items():
        value = rng.normal(size=shape) * ((2 / np.prod(shape[1:])) ** 0.5 if key.endswith("W") else 0.1)
        if key.endswith(("gamma", "var")):
            value = 1 + abs(value)
        if "conv_offset_mask" in key:
            value *= 0.2  # offsets of about a cell: wilder ones multiply rounding errors
        parameters[key].d = value.transpose(0, 2, 3, 1) if layout == "nhwc" and len(shape) == 4 else value
    return network


def spread_outputs(network: Network, images: np.ndarray) -> None:
    """Scale the last layers so that logits spread by about 1 and sizes by 3 cells: scores apart, boxes of a real size."""
    raw = NnablaSession(lambda x: network(x)[-1]).run(images)
    for head, spread in {"heatmap": 1.0, "offset": 0.3, "size": 3.0}.items():
        weight = network.parameters()[f"{HEADS[head].scope}_final/conv/W"]
        weight.d = weight.d * (spread / raw[head].std())


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in PARTS])
def test_every_runtime_finds_the_same_boxes(name, tmp_path) -> None:
    network = random_network(name)
    images = np.random.default_rng(1).normal(size=(2, 3, 64, 96)).astype(np.float32)
    spread_outputs(network, images)

    def build(x: nn.Variable) -> dict[str, nn.Variable]:
        return decode_graph(network(x)[-1], k=10, stride=network.stride, layout="nchw")

    expected = NnablaSession(build).run(images)
    assert np.diff(expected["scores"]).max() < -1e-6, "the scores are too close to tell an order"

    x = nn.Variable((1, 3, 64, 96))
    model = to_onnx(build(x), {"image": x}, dynamic_batch=True).SerializeToString()
    save_nnp(tmp_path / "model.nnp", build(x), {"x": x})
    for session in (OpenVinoSession(model), OnnxRuntimeSession(model), NnpSession(tmp_path / "model.nnp")):
        found = session.run(images)
        np.testing.assert_array_equal(found["class_ids"], expected["class_ids"], session.summary)
        np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-4, err_msg=session.summary)
        np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=1e-3, err_msg=session.summary)


@pytest.mark.parametrize("name", ["resnet18", "dlav0"])
def test_bfloat16_ends_with_the_last_convolution_and_decodes_in_float32(name, monkeypatch) -> None:
    """bfloat16 holds whole numbers to 256 only; these maps have 1280 cells. Any CPU with AVX-512 can be made to compute in it."""
    core = sessions.openvino_core()

    class Core:
        """Says what the CPU would say if it had the arithmetic."""

        read_model = core.read_model
        compile_model = core.compile_model

        def get_property(self, *_: str) -> list[str]:
            return ["FP32", "BF16"]

    monkeypatch.setattr(sessions, "openvino_core", Core)
    network = random_network(name)
    mean, std = (0.4, 0.45, 0.5), (0.25, 0.3, 0.28)
    pixels = np.random.default_rng(1).integers(0, 256, (1, 128, 160, 3), np.uint8)
    spread_outputs(network, color_in(pixels, mean, std))

    def build(x: nn.Variable) -> dict[str, nn.Variable]:
        maps = network(normalized(x, mean, std, layout="nchw", channels=3))[-1]
        return {**decode_graph(maps, k=50, stride=network.stride, layout="nchw"), **maps}

    x = nn.Variable(pixels.shape)
    model = to_onnx(build(x), {"image": x}, uint8_inputs={"image"}).SerializeToString()
    session = OpenVinoSession(model, precision="bfloat16")
    found = session.run(pixels)
    exact = OpenVinoSession(model).run(pixels)
    requests, _ = session._compiled[pixels.shape]
    if requests.get().get_compiled_model().get_property("INFERENCE_PRECISION_HINT").get_type_name() != "bf16":
        pytest.skip("this CPU cannot even simulate bfloat16")
    assert abs(found["size"] - exact["size"]).max() > 1e-3, "nothing was computed in bfloat16"
    (expected,) = decode_centers({head: found[head] for head in HEADS}, k=50, stride=network.stride)
    np.testing.assert_allclose(found["scores"][0], expected.scores, atol=1e-6)
    rows = [
        # Rounded logits tie, and equal scores have no order: that of the boxes, and the last score's may be any.
        sorted([round(float(score), 5), *box, class_id] for score, box, class_id in zip(*answer, strict=True) if score > last + 1e-5)
        for last in [expected.scores[-1]]
        for answer in (
            (found["scores"][0], found["boxes"][0].tolist(), found["class_ids"][0].tolist()),
            (expected.scores, expected.boxes.tolist(), expected.class_ids.tolist()),
        )
    ]
    assert len(rows[1]) > 30
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-3)


def color_in(pixels: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    return ((pixels / 255 - mean) / std).astype(np.float32).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("name", ["resnet18", "dlav0"])
def test_a_channels_last_detector_finds_the_boxes_of_its_channels_first_twin(name) -> None:
    images = np.random.default_rng(1).normal(size=(1, 3, 64, 96)).astype(np.float32)
    network = random_network(name)
    expected = NnablaSession(lambda x: network(x)[-1]).run(images)
    nn.clear_parameters()
    network = random_network(name, "nhwc")
    x_NHWC = nn.Variable((1, 64, 96, 3))
    model = to_onnx(network(x_NHWC)[-1], {"image": x_NHWC}).SerializeToString()
    found = OpenVinoSession(model).run(np.ascontiguousarray(images.transpose(0, 2, 3, 1)))
    for head, array in expected.items():
        np.testing.assert_allclose(found[head].transpose(0, 3, 1, 2), array, atol=1e-4 * abs(array).max(), err_msg=head)
