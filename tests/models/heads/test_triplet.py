from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.errors import ConfigError
from centernet.export.nnp import save_nnp
from centernet.export.onnx import to_onnx
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.session import NnablaSession, NnpSession, OnnxRuntimeSession
from centernet.models.backbones import hourglass, resnet
from centernet.models.heads import conv, triplet
from centernet.models.necks import deconv, identity
from centernet.models.network import Network
from centernet.models.ops import Ops
from centernet.models.specs import HeadSpec
from centernet.models.torch_names import torch_names

HEADS = {
    "tl_heat": HeadSpec(scope="tl_heats", channels=3, kind="heatmap", bias=-2.19),
    "br_tag": HeadSpec(scope="br_tags", channels=1, kind="regression"),
    "ct_regr": HeadSpec(scope="ct_regrs", channels=2, kind="regression"),
}
OF_ANOTHER_TASK = {
    "heatmap": HeadSpec(scope="hm", channels=3, kind="heatmap"),
    "size": HeadSpec(scope="wh", channels=2, kind="regression"),
}
FAR = {"above": (2, 20), "left": (20, 2), "below": (38, 20), "right": (20, 38)}  # cells, far from the one in the middle
SMALL = triplet.Config(width=0.125)


def network(layers: int = 104, **settings: Any) -> Network:
    backbone = hourglass.Config(num_layers=layers, width=0.0625)
    return Network(backbone, identity.Config(), SMALL, HEADS, scope=OrderedDict(), **settings)


def test_every_stack_has_a_pooling_for_each_keypoint_and_outputs_of_its_own() -> None:
    names = list(network().parameter_shapes())
    for stack in range(2):
        for keypoint in triplet.KEYPOINTS:
            assert f"{keypoint}_cnvs/{stack}/p1_conv1/conv/conv/W" in names
        for scope in ("tl_heats", "br_tags", "ct_regrs"):
            assert {f"{scope}/{stack}/conv1/conv/W", f"{scope}/{stack}/final/conv/b"} <= set(names)
    assert not any(name.startswith("ct_cnvs/0/look") for name in names)  # a centre is looked for in two directions, not four


def test_a_pooling_that_no_output_asks_for_is_not_there() -> None:
    triplet.build(nn.Variable((1, 16, 4, 4)), Ops(), SMALL, {"br_tag": HEADS["br_tag"]})
    assert {name.split("_")[0] for name in nn.get_parameters()} == {"br"}


def test_its_layers_are_called_as_in_the_originals_files() -> None:
    keys = set(torch_names(network()).values())
    expected = (
        *("tl_cnvs.0.p1_conv1.conv.weight", "tl_cnvs.1.P2_look_conv.weight", "br_cnvs.0.look_conv2.bn.running_var"),
        *("ct_cnvs.1.p_bn1.bias", "ct_cnvs.1.conv2.conv.weight", "tl_heats.1.0.conv.bias", "br_tags.0.1.weight"),
    )
    assert set(expected) <= keys


@pytest.mark.parametrize("side", [511, 512])
def test_maps_have_a_cell_for_four_pixels_rounded_up(side: int) -> None:
    one = network(52)
    (outputs,) = one(nn.Variable(one.input_shape(1, side, side)))
    assert {name: output.shape for name, output in outputs.items()} == {
        "tl_heat": (1, 3, 128, 128),
        "br_tag": (1, 1, 128, 128),
        "ct_regr": (1, 2, 128, 128),
    }


def test_a_corner_is_seen_along_both_its_edges() -> None:
    """Of a map with one bright cell, what lies before it in both sweeps changes beyond the reach of the convolutions."""
    far = {}
    for scope in ("tl_tags", "br_tags", "ct_tags"):
        nn.clear_parameters()
        x = nn.Variable((1, 8, 41, 41))
        output = triplet.build(x, Ops(), SMALL, {"tag": HeadSpec(scope=scope, channels=1, kind="regression")})["tag"]
        x.d = 0
        output.forward()
        before = output.d.copy()
        x.d[0, :, 20, 20] = 100
        output.forward()
        changed = np.abs(output.d - before)[0, 0] > 1e-6
        far[scope] = {name: bool(changed[row, column]) for name, (row, column) in FAR.items()}
    assert far["tl_tags"] == {"above": True, "left": True, "below": False, "right": False}
    assert far["br_tags"] == {"above": False, "left": False, "below": True, "right": True}
    assert all(far["ct_tags"].values())


def test_outputs_of_another_task_are_refused_with_the_heads_that_are_for_them() -> None:
    with pytest.raises(ConfigError) as refused:
        Network(resnet.Config(width=0.125), deconv.Config(width=0.125), SMALL, OF_ANOTHER_TASK, scope=OrderedDict())
    assert str(refused.value) == (
        "model.head: triplet pools for the outputs of a task whose names begin with tl_, br_, ct_; found hm, wh; "
        "heads that fit this task: conv"
    )


def test_other_heads_take_its_outputs_without_a_pooling() -> None:
    plain = Network(hourglass.Config(num_layers=52, width=0.0625), identity.Config(), conv.Config(), HEADS, scope=OrderedDict())
    assert not any("_cnvs/" in name for name in plain.parameter_shapes() if not name.startswith("cnvs/"))


def test_every_runtime_and_both_layouts_compute_the_same(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((2, 8, 12, 9)).astype(np.float32)
    x = nn.Variable((1, 8, 12, 9))
    outputs = triplet.build(x, Ops(), SMALL, HEADS)
    model = to_onnx(outputs, {"x": x}, dynamic_batch=True).SerializeToString()
    save_nnp(tmp_path / "head.nnp", outputs, {"x": x})
    expected = NnablaSession(lambda image: triplet.build(image, Ops(), SMALL, HEADS)).run(features)
    for session in (OnnxRuntimeSession(model), OpenVinoSession(model), NnpSession(tmp_path / "head.nnp")):
        check_close(session.run(features), expected, session.summary)
    nn.clear_parameters()
    x_NHWC = nn.Variable((2, 12, 9, 8))
    channels_last = to_onnx(triplet.build(x_NHWC, Ops(layout="nhwc"), SMALL, HEADS), {"x": x_NHWC}).SerializeToString()
    found = OpenVinoSession(channels_last).run(np.ascontiguousarray(features.transpose(0, 2, 3, 1)))
    check_close({name: values.transpose(0, 3, 1, 2) for name, values in found.items()}, expected, "channels last")


def check_close(found: dict[str, Any], expected: dict[str, Any], what: str) -> None:
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4 * np.abs(values).max(), err_msg=f"{what}: {name}")
