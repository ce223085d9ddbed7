"""Freezing a part of any network changes no gradient of the rest, and leaves its own statistics as they are."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet import plugins
from centernet.models.heads import conv
from centernet.models.network import BACKBONES, NECKS, Network
from centernet.models.specs import HeadSpec

WIDTH = 0.125
SIDE = 64  # pixels
SMALLEST = {"hourglass": {"num_layers": 52}}
HEADS = {"heatmap": HeadSpec(scope="hm", channels=3, kind="heatmap", bias=-2.19)}
OWN_NECK = {"dla": "dla_up", "dlav0": "dlav0_up", "hourglass": "identity"}  # of all others: deconv
PAIRS = [(backbone, OWN_NECK.get(backbone, "deconv")) for backbone in plugins.names(BACKBONES)]
PAIRS += [("resnet", neck) for neck in plugins.names(NECKS) if neck not in ("deconv", "identity")]


def config_of(package: str, name: str) -> Any:
    config = plugins.load(package, name).Config
    width = {"width": WIDTH} if "width" in config.__dataclass_fields__ else {}
    return config(**width, **SMALLEST.get(name, {}))


def gradients(network: Network, frozen: set[str], *, batch_stat: bool | None = None) -> dict[str, Any]:
    """Of a weighted sum of the heatmap with respect to every parameter, all of which have values that matter."""
    rng = np.random.default_rng(0)
    side = max(SIDE, network.input_multiple)
    image = nn.Variable.from_numpy_array(rng.standard_normal(network.input_shape(2, side, side)))
    (outputs,) = network(image, training=True, batch_stat=batch_stat, frozen=frozen)
    heatmap = outputs["heatmap"]
    loss = F.mean(heatmap * nn.Variable.from_numpy_array(rng.standard_normal(heatmap.shape)))
    with network.parameter_scope():
        parameters = nn.get_parameters()
    for name, parameter in parameters.items():
        if "conv_offset_mask" in name:  # they begin at zero, where some gradients are zero
            parameter.d = np.random.default_rng(len(name)).standard_normal(parameter.shape) * 0.02
        parameter.grad.zero()
    loss.forward(clear_no_need_grad=True)
    loss.backward(clear_buffer=True)
    return {name: parameter.g.copy() for name, parameter in parameters.items()}


def parts(network: Network) -> dict[str, set[str]]:
    """Names of trained parameters by what is frozen with them."""
    own = set(network.backbone_shapes())
    names = [name for name, is_trained in network.trainable.items() if is_trained]
    found = {
        "backbone": {name for name in names if name in own},
        "neck": {name for name in names if name not in own and not name.startswith("hm")},
        "offsets": {name for name in names if "conv_offset_mask" in name},
        "weights beside offsets": {name.replace("conv_offset_mask/conv", "conv") for name in names if "conv_offset_mask" in name},
    }
    return {part: frozen for part, frozen in found.items() if frozen}


@pytest.mark.parametrize(("backbone", "neck"), PAIRS)
def test_the_others_gradients_are_those_of_the_whole_network(backbone: str, neck: str) -> None:
    network = Network(
        config_of(BACKBONES, backbone), config_of(NECKS, neck), conv.Config(hidden_channels=8), HEADS, scope=OrderedDict(), seed=3
    )
    expected = gradients(network, set(), batch_stat=False)
    share = np.mean([values.any() for values in expected.values()])
    assert share > 0.8  # in maps of a few cells some units are dead
    for part, frozen in parts(network).items():
        assert frozen <= set(expected), part
        found = gradients(network, frozen, batch_stat=False)
        for name, values in expected.items():
            if name in frozen:
                assert not found[name].any(), (part, name)
            else:
                scale = np.abs(values).max()
                np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5 * scale, err_msg=f"{part}: {name}")


def test_a_frozen_batch_norm_keeps_its_statistics_and_the_others_do_not() -> None:
    network = Network(config_of(BACKBONES, "resnet"), config_of(NECKS, "deconv"), conv.Config(), HEADS, scope=OrderedDict())
    before = {name: parameter.d.copy() for name, parameter in network.parameters().items()}
    gradients(network, {"conv1/bn/gamma", "res1/layer1/basicblock1/conv/W"})
    for name, parameter in network.parameters().items():
        if name.endswith(("/bn/mean", "/bn/var")):
            assert (parameter.d == before[name]).all() == name.startswith("conv1/"), name
