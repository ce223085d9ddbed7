"""Every backbone under every neck that takes its strides: the smallest member of each family, on a small image."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet import plugins
from centernet.errors import ConfigError
from centernet.models.heads import conv
from centernet.models.network import BACKBONES, NECKS, Network
from centernet.models.specs import HeadSpec

WIDTH = 0.125
SIDE = 64  # pixels; on less, batch norm of the coarsest cells would let no gradient through
SMALLEST = {"hourglass": {"num_layers": 52}}  # where it is not what a Config is without options
HEADS = {"heatmap": HeadSpec(scope="hm", channels=3, kind="heatmap", bias=-2.19)}
PAIRS = [(backbone, neck) for backbone in plugins.names(BACKBONES) for neck in plugins.names(NECKS)]


def config_of(package: str, name: str) -> Any:
    config = plugins.load(package, name).Config
    width = {"width": WIDTH} if "width" in config.__dataclass_fields__ else {}
    return config(**width, **SMALLEST.get(name, {}))


def fits(backbone: str, neck: str) -> bool:
    """The hourglass gives one feature, all others four."""
    return (backbone == "hourglass") == (neck == "identity")


def network_of(backbone: str, neck: str) -> Network:
    head = conv.Config(hidden_channels=8)
    return Network(config_of(BACKBONES, backbone), config_of(NECKS, neck), head, HEADS, scope=OrderedDict())


@pytest.mark.parametrize(("backbone", "neck"), [pair for pair in PAIRS if fits(*pair)])
def test_a_pair_gives_a_map_of_stride_4_and_trains_every_parameter(backbone: str, neck: str) -> None:
    network = network_of(backbone, neck)
    side = max(SIDE, network.input_multiple)
    rng = np.random.default_rng(0)
    image = nn.Variable.from_numpy_array(rng.standard_normal(network.input_shape(2, side, side)))
    outputs = network(image, training=True)
    assert [output["heatmap"].shape for output in outputs] == [(2, 3, side // 4, side // 4)]
    loss = F.mean(outputs[0]["heatmap"] * nn.Variable.from_numpy_array(rng.standard_normal(outputs[0]["heatmap"].shape)))
    with network.parameter_scope():
        parameters = nn.get_parameters()
    for variable in parameters.values():
        variable.grad.zero()
    loss.forward()
    loss.backward()
    for name, variable in parameters.items():
        assert np.isfinite(variable.g).all(), name
        assert variable.g.any(), name


@pytest.mark.parametrize(("backbone", "neck"), [pair for pair in PAIRS if not fits(*pair)])
def test_a_pair_whose_strides_do_not_fit_is_refused(backbone: str, neck: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.neck: {neck} on {backbone}: .*stride"):
        network_of(backbone, neck)
