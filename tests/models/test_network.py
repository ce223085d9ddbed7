from __future__ import annotations

from collections import OrderedDict
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.errors import ConfigError
from centernet.models.backbones import dlav0, hourglass, resnet
from centernet.models.heads import conv
from centernet.models.necks import deconv, dlav0_up, identity
from centernet.models.network import Network
from centernet.models.specs import HeadSpec

HEADS = {
    "heatmap": HeadSpec(scope="hm", channels=3, kind="heatmap", bias=-2.19),
    "offset": HeadSpec(scope="reg", channels=2, kind="regression"),
    "size": HeadSpec(scope="wh", channels=2, kind="regression"),
}


def small(**options: Any) -> Network:
    width = 0.125
    parts = resnet.Config(width=width), deconv.Config(width=width), conv.Config(width=width)
    return Network(*parts, HEADS, **{"scope": OrderedDict(), **options})


def run(network: Network, image: Any, **options: Any) -> dict[str, Any]:
    x = nn.Variable.from_numpy_array(image)
    (outputs,) = network(x, **options)
    nn.forward_all(list(outputs.values()))
    return {name: output.d.copy() for name, output in outputs.items()}


def photo(seed: int = 0, batch: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal((batch, 3, 64, 32)).astype(np.float32)


def test_outputs_are_named_maps_a_stride_smaller_than_the_image() -> None:
    network = small()
    outputs = run(network, photo(batch=2))
    assert network.stride == 4
    assert network.input_multiple == 32
    assert {name: values.shape for name, values in outputs.items()} == {
        "heatmap": (2, 3, 16, 8),
        "offset": (2, 2, 16, 8),
        "size": (2, 2, 16, 8),
    }


def test_a_new_network_says_one_in_ten_everywhere_and_has_living_units() -> None:
    network = small()
    heatmap = run(network, photo(), training=True)["heatmap"]
    assert np.abs(1 / (1 + np.exp(-heatmap)) - 0.1).mean() < 0.05
    assert heatmap.std() > 1e-3
    parameters = network.parameters()
    assert not parameters["hm_conv1/conv/b"].d.any()
    np.testing.assert_allclose(parameters["hm_final/conv/b"].d, -2.19)


def test_two_networks_with_their_own_scopes_do_not_meet() -> None:
    first, second = small(seed=1), small(seed=2)
    before = run(first, photo())["heatmap"]
    assert not np.array_equal(before, run(second, photo())["heatmap"])
    np.testing.assert_array_equal(before, run(first, photo())["heatmap"])
    np.testing.assert_array_equal(before, run(small(seed=1), photo())["heatmap"])
    assert not nn.get_parameters(grad_only=False)


def test_without_a_scope_parameters_live_in_nnablas_current_one() -> None:
    network = small(scope=None)
    with nn.parameter_scope("left"):
        assert list(network.parameters()) == list(nn.get_parameters(grad_only=False))
    assert list(nn.get_parameters(grad_only=False)) == [f"left/{name}" for name in network.parameter_shapes()]


def test_telling_shapes_creates_and_changes_nothing() -> None:
    network = small(scope=None)
    shapes = network.parameter_shapes()
    assert shapes["conv1/conv/W"] == (8, 3, 7, 7)
    assert not nn.get_parameters(grad_only=False)
    assert list(network.backbone_shapes()) == [name for name in shapes if name.startswith(("conv1/", "res"))]


def test_parameters_are_those_the_graph_uses_whatever_was_built_first() -> None:
    for graph_first in (True, False):
        network = small()
        if graph_first:
            run(network, photo())
        parameters = network.parameters()
        assert {name: variable.shape for name, variable in parameters.items()} == network.parameter_shapes()
        assert {name: variable.need_grad for name, variable in parameters.items()} == network.trainable
        parameters["hm_final/conv/W"].d = 0
        parameters["hm_final/conv/b"].d = 5
        assert (run(network, photo())["heatmap"] == 5).all()


def test_an_nhwc_graph_can_be_built_without_being_run() -> None:
    network = small(layout="nhwc", input_channels=4)
    (outputs,) = network(nn.Variable(network.input_shape(2, 64, 32)), training=True)
    assert outputs["heatmap"].shape == (2, 16, 8, 3)


def test_an_input_that_does_not_fit_is_refused() -> None:
    network = small()
    with pytest.raises(ConfigError, match=r"input size 60x64 \(height x width\): expected multiples of 32; the nearest that fits is 64x64"):
        network.input_shape(1, 60, 64)
    with pytest.raises(ConfigError, match=r"shape \(1, 4, 64, 64\), expected \(1, 3, 64, 64\) \(nchw\)"):
        network(nn.Variable((1, 4, 64, 64)))


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.neck: deconv on resnet: 6 layers"):
        Network(resnet.Config(), deconv.Config(channels=(8,) * 6), conv.Config(), HEADS)


def test_published_names_of_backbones_are_known() -> None:
    assert small().pretrained_name == "resnet18"
    dla = Network(dlav0.Config(width=0.5), dlav0_up.Config(), conv.Config(), HEADS)
    assert dla.pretrained_name == "dla34"


def test_frozen_batch_norm_gives_the_same_for_an_image_alone_and_in_a_batch() -> None:
    network = small()
    batch = photo(batch=2)
    together = run(network, batch, training=True, batch_stat=False)["size"]
    alone = run(network, batch[:1], training=True, batch_stat=False)["size"]
    np.testing.assert_allclose(together[:1], alone, rtol=1e-4, atol=1e-7)


def stacked(num_layers: Any = 104, neck: Any = identity.Config(), **options: Any) -> Network:  # noqa: B008
    width = 0.0625
    return Network(
        hourglass.Config(num_layers=num_layers, width=width), neck, conv.Config(width=width), HEADS, scope=OrderedDict(), **options
    )


@pytest.mark.parametrize(("num_layers", "stacks"), [(52, 1), (104, 2)])
def test_a_backbone_of_stacks_gives_the_outputs_of_each_from_heads_of_their_own(num_layers: int, stacks: int) -> None:
    network = stacked(num_layers)
    outputs = network(nn.Variable((1, 3, 128, 256)))
    assert [output["heatmap"].shape for output in outputs] == [(1, 3, 32, 64)] * stacks
    finals = [name for name in network.parameter_shapes() if name.endswith("final/conv/b")]
    assert finals == [f"{head}/{stack}/final/conv/b" for head in ("hm", "reg", "wh") for stack in range(stacks)]


def test_necks_of_stacks_share_no_parameters() -> None:
    network = stacked(neck=deconv.Config(channels=(8,)))
    kernels = [name for name in network.parameter_shapes() if name.endswith("deconv/W")]
    assert kernels == ["neck/0/upsample1/deconv/W", "neck/1/upsample1/deconv/W"]


def test_every_stack_is_supervised() -> None:
    network = stacked()
    image = nn.Variable.from_numpy_array(np.random.default_rng(0).standard_normal((2, 3, 128, 128)).astype(np.float32))
    first, last = network(image, training=True)
    parameters = network.parameters()
    for variable in parameters.values():
        variable.g = 0
    loss = sum(nn.functions.mean(output**2) for stack in (first, last) for output in stack.values())
    loss.forward()
    loss.backward()
    for name in ("hm/0/final/conv/W", "hm/1/final/conv/W", "kps/0/up1/0/conv1/conv/W", "kps/1/up1/0/conv1/conv/W"):
        assert parameters[name].g.any(), name


def test_an_hourglass_takes_multiples_of_128_and_one_less() -> None:
    network = stacked(52)
    (outputs,) = network(nn.Variable(network.input_shape(1, 127, 255)))
    assert outputs["size"].shape == (1, 2, 32, 64)
    with pytest.raises(
        ConfigError, match=r"input size 500x600 .*: expected multiples of 128, or one less; the nearest that fits is 511x639"
    ):
        network.input_shape(1, 500, 600)


def test_parameters_for_a_file_to_fill_are_not_drawn_and_old_ones_keep_their_values() -> None:
    empty = small().parameters(drawn=False)
    assert list(empty) == list(small().parameters())
    assert not any(variable.d.any() for variable in empty.values())
    network = small()
    drawn = {name: variable.d.copy() for name, variable in network.parameters().items()}
    for name, variable in network.parameters(drawn=False).items():
        np.testing.assert_array_equal(variable.d, drawn[name])
