"""Checkpoints are known by their keys and shapes."""

from __future__ import annotations

from centernet.weights.torch_identify import architecture, head_channels, hidden_channels


def resnet(counts: tuple[int, ...], **more: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    keys = {f"layer{stage}.{block}.conv1.weight": (64, 64, 3, 3) for stage, count in enumerate(counts, 1) for block in range(count)}
    return {**keys, "layer1.0.conv2.weight": (64, 64, 3, 3), **more}


def test_resnets_are_told_by_their_blocks_and_what_follows_them() -> None:
    assert architecture(resnet((2, 2, 2, 2))) == "resnet18"
    assert architecture(resnet((3, 4, 6, 3))) == "resnet34"
    deconv = {"deconv_layers.0.weight": (512, 256, 4, 4)}
    assert architecture({**resnet((2, 2, 2, 2)), **deconv}) == "res_18"
    assert architecture({**resnet((2, 2, 2, 2)), **deconv, "deconv_layers.0.conv_offset_mask.weight": (27, 512, 3, 3)}) == "resdcn_18"
    bottleneck = {"layer1.0.conv3.weight": (256, 64, 1, 1)}
    assert architecture({**resnet((3, 4, 6, 3)), **bottleneck}) == "resnet50"
    assert architecture({**resnet((3, 4, 6, 3)), **bottleneck, "layer1.0.conv2.weight": (128, 4, 3, 3)}) == "resnext50_32x4d"
    assert architecture({**resnet((3, 4, 6, 3)), **bottleneck, "layer1.0.conv2.weight": (128, 128, 3, 3)}) == "wide_resnet50_2"
    assert architecture(resnet((1, 2, 3, 4))) is None


def test_unknown_keys_are_unknown() -> None:
    assert architecture({}) is None
    assert architecture({"encoder.weight": (1,)}) is None
    assert architecture({f"kps.{stack}.up1.weight": (1,) for stack in range(3)}) is None


def test_hourglasses_are_told_by_their_stacks_and_those_of_keypoint_triplets_by_their_poolings() -> None:
    one, two = ({f"kps.{stack}.low1.0.conv1.weight": (256, 256, 3, 3) for stack in range(count)} for count in (1, 2))
    assert [architecture(shapes) for shapes in (one, two)] == ["hourglass_52", "hourglass_104"]
    for pooling in ("tl_cnvs.0.p_conv1.weight", "cnvs_tl.0.p_conv1.weight"):
        found = [architecture({**shapes, pooling: (256, 128, 3, 3)}) for shapes in (one, two)]
        assert found == ["keypoint_triplets_52", "keypoint_triplets_104"]
        tiny = {"kps.0.low1.0.conv1.weight": (128, 256, 3, 3), pooling: (256, 128, 3, 3)}
        assert architecture(tiny) == "keypoint_triplets_tiny"


def test_heads_are_the_last_layers_by_name() -> None:
    shapes = {"bn1.weight": (64,), "hm.0.weight": (64, 64, 3, 3), "hm.0.bias": (64,), "hm.2.weight": (20, 64, 1, 1), "hm.2.bias": (20,)}
    assert head_channels({**shapes, "wh.2.weight": (2, 64, 1, 1), "wh.2.bias": (2,)}) == {"hm": 20, "wh": 2}
    assert head_channels({"hm.weight": (80, 64, 1, 1), "hm.bias": (80,)}) == {"hm": 80}
    stacked = {f"hp_offset.{stack}.1.{kind}": (2, 256, 1, 1) for stack in range(2) for kind in ("weight", "bias")}
    assert head_channels(stacked) == {"hp_offset": 2}
    assert head_channels({"fc.weight": (1000, 512), "fc.bias": (1000,)}) == {}


def test_the_channels_inside_the_heads_are_those_of_their_first_layer() -> None:
    last = {"hm.2.weight": (20, 256, 1, 1), "hm.2.bias": (20,)}
    assert hidden_channels({"deconv_layers.0.weight": (512, 256, 4, 4), "hm.0.weight": (256, 64, 3, 3), **last}) == 256
    stacked = {"hm.0.0.conv.weight": (128, 256, 3, 3), "hm.0.1.weight": (20, 128, 1, 1), "hm.0.1.bias": (20,)}
    assert hidden_channels({"pre.0.conv.weight": (128, 3, 7, 7), **stacked}) == 128
    assert hidden_channels({"hm.weight": (80, 64, 1, 1), "hm.bias": (80,)}) == 0
    assert hidden_channels({"layer1.0.conv1.weight": (64, 64, 3, 3)}) is None
