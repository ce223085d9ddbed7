"""Which known network a PyTorch checkpoint belongs to, by its keys and shapes; the words of errors and of choices."""

from __future__ import annotations

import re
from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]

RESNETS: dict[tuple[int, tuple[int, ...]], str] = {  # by the convolutions of a block, 1 for the basic one, and the blocks of each stage
    (1, (2, 2, 2, 2)): "18",
    (1, (3, 4, 6, 3)): "34",
    (3, (3, 4, 6, 3)): "50",
    (3, (3, 4, 23, 3)): "101",
    (3, (3, 8, 36, 3)): "152",
}
RESNEXTS = {(32, 4, "50"): "resnext50_32x4d", (32, 8, "101"): "resnext101_32x8d"}
STACKS = {1: "52", 2: "104"}
MOBILENET_V3 = {12: "mobilenet_v3_small", 16: "mobilenet_v3_large"}  # by the number of the last feature
HEAD_ENDINGS = (r"\.\d\.1", r"\.2", "")  # of the last layer of a head: of a stack, behind a hidden layer, alone


def architecture(shapes: Shapes) -> str | None:
    """The official system's name (`res_18`, `resdcn_101`, `dla_34`, `dlav0_34`, `hourglass_104`, `keypoint_triplets_104`) or torchvision's.

    Those of keypoint triplets end in 104, 52, or tiny, which is a 52 with fewer channels.

    None where the keys are of nothing that is known. Keys are those without prefixes, see `torch_import.plain`.
    """
    if any(key.startswith("kps.") for key in shapes):
        return _hourglass(shapes)
    if "layer1.0.conv1.weight" in shapes:
        return _resnet(shapes)
    if "features.0.0.weight" in shapes:
        return _mobilenet(shapes)
    if any(key.startswith("dla_up.") for key in shapes):
        return "dla_34" if any(key.startswith("ida_up.") for key in shapes) else "dlav0_34"
    if {"base_layer.0.weight", "base.base_layer.0.weight"} & set(shapes):
        return "dla34"
    return None


def head_channels(shapes: Shapes) -> dict[str, int]:
    """Name -> channels of every head of the official system's checkpoints, in the order of the file."""
    found: dict[str, int] = {}
    for ending in HEAD_ENDINGS:
        for key, shape in shapes.items():
            match = re.fullmatch(rf"([a-z]\w*){ending}\.weight", key)
            if match and len(shape) == 4 and shape[2:] == (1, 1) and f"{key.removesuffix('weight')}bias" in shapes:
                found.setdefault(match[1], shape[0])
        if found:
            break
    return found


def hidden_channels(shapes: Shapes) -> int | None:
    """Channels between the two layers of the heads (`head_conv`), 0 where they have one layer; None where there are no heads."""
    heads = head_channels(shapes)
    hidden = re.compile(rf"({'|'.join(heads)})\.(0|\d\.0\.conv)\.weight")
    counts = [shape[0] for key, shape in shapes.items() if heads and hidden.fullmatch(key)]
    return (counts or [0])[0] if heads else None


def _hourglass(shapes: Shapes) -> str | None:
    stacks = STACKS.get(len({key.split(".")[1] for key in shapes if key.startswith("kps.")}))
    if not any(key.startswith(("tl_cnvs.", "cnvs_tl.")) for key in shapes):
        return stacks and f"hourglass_{stacks}"
    first = shapes.get("kps.0.low1.0.conv1.weight", (0, 0))
    is_tiny = stacks == "52" and first[0] < first[1]  # the others never have fewer channels further in
    return stacks and f"keypoint_triplets_{'tiny' if is_tiny else stacks}"


def _resnet(shapes: Shapes) -> str | None:
    blocks = (re.fullmatch(r"layer(\d)\.(\d+)\.conv1\.weight", key) for key in shapes)
    stages = [match[1] for match in blocks if match]
    is_bottleneck = "layer1.0.conv3.weight" in shapes
    depth = RESNETS.get((3 if is_bottleneck else 1, tuple(stages.count(str(stage)) for stage in range(1, 5))))
    if depth is None:
        return None
    if "deconv_layers.0.conv_offset_mask.weight" in shapes:
        return f"resdcn_{depth}"
    if "deconv_layers.0.weight" in shapes:
        return f"res_{depth}"
    inner, group_channels = shapes.get("layer1.0.conv2.weight", (0, 0))[:2]
    if is_bottleneck and group_channels and group_channels < inner:
        return RESNEXTS.get((inner // group_channels, group_channels, depth))
    return f"wide_resnet{depth}_2" if is_bottleneck and inner == 128 else f"resnet{depth}"


def _mobilenet(shapes: Shapes) -> str | None:
    if "features.1.conv.0.0.weight" in shapes:
        return "mobilenet_v2"
    last = max(int(match[1]) for match in (re.match(r"features\.(\d+)\.", key) for key in shapes) if match)
    return MOBILENET_V3.get(last)
