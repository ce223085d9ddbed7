"""Every backbone under every neck that takes its strides: the smallest member of each family, on a small image.

The other members are tested under the neck of their own alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet import plugins
from centernet.errors import ConfigError
from centernet.models.architectures import ARCHITECTURES, PLAIN_HEAD, Architecture
from centernet.models.architectures import NECKS as NECKS_FOR_ALL
from centernet.models.network import BACKBONES, HEADS, NECKS, Network
from centernet.models.specs import HeadSpec

WIDTH = 0.125
SIDE = 64  # pixels; on less, batch norm of the coarsest cells would let no gradient through
SMALLEST = {"hourglass": {"num_layers": 52}}  # where it is not what a Config is without options
OUTPUTS = {"heatmap": HeadSpec(scope="hm", channels=3, kind="heatmap", bias=-2.19)}
OWN_OUTPUTS = {  # of heads that are for one task alone
    "triplet": {f"{point}_heat": HeadSpec(scope=f"{point}_heats", channels=3, kind="heatmap", bias=-2.19) for point in ("tl", "br", "ct")}
}
PAIRS = [(backbone, neck) for backbone in plugins.names(BACKBONES) for neck in plugins.names(NECKS)]


def config_of(package: str, name: str) -> Any:
    config = plugins.load(package, name).Config
    width = {"width": WIDTH} if "width" in config.__dataclass_fields__ else {}
    return config(**width, **SMALLEST.get(name, {}))


def fits(backbone: str, neck: str) -> bool:
    """The hourglass gives one feature, all others four."""
    return (backbone == "hourglass") == (neck == "identity")


def network_of(backbone: str, neck: str) -> Network:
    return network_from(config_of(BACKBONES, backbone), config_of(NECKS, neck))


def network_from(backbone: Any, neck: Any, head: str = "conv") -> Network:
    config = plugins.load(HEADS, head).Config(hidden_channels=64, width=WIDTH)
    return Network(backbone, neck, config, OWN_OUTPUTS.get(head, OUTPUTS), scope=OrderedDict())


def larger_members() -> list[Architecture]:
    """Those that the pairs do not have, each family once under the neck it is published with."""
    smallest = [(config_of(BACKBONES, backbone), config_of(NECKS, neck)) for backbone, neck in PAIRS]
    members = [one for one in ARCHITECTURES.values() if not one.family.endswith(tuple(NECKS_FOR_ALL))]
    return [
        one for one in members if (section(BACKBONES, one.backbone), section(NECKS, one.neck)) not in smallest or one.head != PLAIN_HEAD
    ]


def section(package: str, options: Mapping[str, Any]) -> Any:
    """A narrow plug-in from its section of a YAML file."""
    config = plugins.load(package, options["name"]).Config
    width = {"width": WIDTH} if "width" in config.__dataclass_fields__ else {}
    return config(**{key: value for key, value in options.items() if key != "name"}, **width)


@pytest.mark.parametrize(("backbone", "neck"), [pair for pair in PAIRS if fits(*pair)])
def test_a_pair_gives_a_map_of_stride_4_and_trains_every_parameter(backbone: str, neck: str) -> None:
    check(network_of(backbone, neck))


@pytest.mark.slow
@pytest.mark.parametrize("member", larger_members(), ids=lambda member: member.name)
def test_a_larger_member_does_so_under_its_own_neck(member: Architecture) -> None:
    check(network_from(section(BACKBONES, member.backbone), section(NECKS, member.neck), member.head))


@pytest.mark.parametrize("head", [name for name in plugins.names(HEADS) if name != PLAIN_HEAD])  # which all pairs have
def test_a_head_gives_its_outputs_on_a_levels_feature_and_on_a_stacks(head: str) -> None:
    for backbone, neck in (("resnet", "deconv"), ("hourglass", "identity")):
        check(network_from(config_of(BACKBONES, backbone), config_of(NECKS, neck), head))


def check(network: Network) -> None:
    """Maps of stride 4 for each stack, whose sum gives every parameter a gradient."""
    side = max(SIDE, network.input_multiple)
    rng = np.random.default_rng(0)
    image = nn.Variable.from_numpy_array(rng.standard_normal(network.input_shape(2, side, side)))
    outputs = network(image, training=True)
    maps = [values for output in outputs for values in output.values()]
    assert {values.shape for values in maps} == {(2, 3, side // 4, side // 4)}
    loss = sum(F.mean(heatmap * nn.Variable.from_numpy_array(rng.standard_normal(heatmap.shape))) for heatmap in maps)
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
    with pytest.raises(
        ConfigError, match=rf"model\.neck: {neck} on {backbone}: .*stride.*; necks that fit this backbone: (.*)$"
    ) as refused:
        network_of(backbone, neck)
    named = str(refused.value).rpartition(": ")[2].split(", ")
    assert named == [other for other in plugins.names(NECKS) if fits(backbone, other)]
