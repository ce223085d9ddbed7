"""Names in PyTorch checkpoints: the mechanical rule, and the scopes that have names of their own."""

from __future__ import annotations

from collections import OrderedDict

import pytest

from centernet.models.backbones import hourglass, resnet, wide_resnet
from centernet.models.heads import conv
from centernet.models.necks import deconv, identity, resdcn
from centernet.models.network import Network
from centernet.models.specs import HeadSpec
from centernet.models.torch_names import backbone_torch_names, torch_key, torch_names

HEADS = {"heatmap": HeadSpec(scope="hm", channels=2, kind="heatmap"), "size": HeadSpec(scope="wh", channels=2, kind="regression")}


def test_a_scope_is_the_originals_module() -> None:
    assert torch_key("a/b/0/conv/W") == "a.b.0.weight"
    assert torch_key("a/conv_offset_mask/conv/b") == "a.conv_offset_mask.bias"
    assert torch_key("up/deconv/W") == "up.weight"
    kinds = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"}
    assert {kind: torch_key(f"a/1/bn/{kind}") for kind in kinds} == {kind: f"a.1.{key}" for kind, key in kinds.items()}
    with pytest.raises(KeyError):
        torch_key("a/affine/W")


def test_resnet_neck_and_heads_of_published_files_have_the_originals_names() -> None:
    network = Network(resnet.Config(width=0.125), deconv.Config(width=0.125), conv.Config(), HEADS, scope=OrderedDict())
    names = torch_names(network)
    assert list(names) == list(network.parameter_shapes())
    assert len(set(names.values())) == len(names)
    expected = {
        "conv1/conv/W": "conv1.weight",
        "conv1/bn/mean": "bn1.running_mean",
        "res1/layer1/basicblock1/conv/W": "layer1.0.conv1.weight",
        "res2/layer1/basicblock_s/shortcut_conv/conv/W": "layer2.0.downsample.0.weight",
        "res2/layer1/basicblock_s/shortcut_conv/bn/var": "layer2.0.downsample.1.running_var",
        "res4/layer2/basicblock2/bn/gamma": "layer4.1.bn2.weight",
        "upsample1/deconv/W": "deconv_layers.0.weight",
        "upsample3/bn/beta": "deconv_layers.7.bias",
        "hm_conv1/conv/b": "hm.0.bias",
        "wh_final/conv/W": "wh.2.weight",
    }
    assert {name: names[name] for name in expected} == expected


def test_a_backbones_names_are_its_own_alone() -> None:
    network = Network(wide_resnet.Config(width=0.125), deconv.Config(width=0.125), conv.Config(), HEADS, scope=OrderedDict())
    names = backbone_torch_names(network)
    assert list(names) == list(network.backbone_shapes())
    assert names["res1/layer3/bottleneck3/bn/var"] == "layer1.2.bn3.running_var"


def test_every_stack_has_heads_of_its_own() -> None:
    network = Network(hourglass.Config(width=0.0625), identity.Config(), conv.Config(), HEADS, scope=OrderedDict())
    names = torch_names(network)
    assert names["hm/1/conv1/conv/W"] == "hm.1.0.conv.weight"
    assert names["wh/0/final/conv/b"] == "wh.0.1.bias"
    assert names["pre/1/conv1/conv/W"] == "pre.1.conv1.weight"


def test_a_head_without_a_hidden_layer_is_its_convolution() -> None:
    for neck in (deconv.Config(width=0.125), resdcn.Config(width=0.125)):
        names = torch_names(Network(resnet.Config(width=0.125), neck, conv.Config(hidden_channels=0), HEADS, scope=OrderedDict()))
        assert [names[f"{head}_final/conv/{kind}"] for head in ("hm", "wh") for kind in "Wb"] == [
            "hm.weight",
            "hm.bias",
            "wh.weight",
            "wh.bias",
        ]
