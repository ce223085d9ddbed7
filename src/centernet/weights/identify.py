"""What a file's parameter names and shapes say about the network they belong to; the words of error messages."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from centernet.weights.layout import Layout, detect_layout, input_channels, input_kernel

Shapes = Mapping[str, tuple[int, ...]]

RESNETS = {
    ("basicblock", (2, 2, 2, 2)): 18,
    ("basicblock", (3, 4, 6, 3)): 34,
    ("bottleneck", (3, 4, 6, 3)): 50,
    ("bottleneck", (3, 4, 23, 3)): 101,
    ("bottleneck", (3, 8, 36, 3)): 152,
}
FAMILIES = {  # what only their names start with
    "level5/": "dlav034",
    "base/level5/": "dla34",
    "kps/1/": "hourglass104",
    "kps/0/": "hourglass52",
    "features/1/conv/": "mobilenet_v2",
    "features/13/block/": "mobilenet_v3 large",
    "features/1/block/": "mobilenet_v3 small",
}
CLASS_HEADS = ("hm", "tl_heats")  # that have a channel for each class
HEAD_BIAS = re.compile(r"(\w+?)(?:_final|/\d+/final)/conv/b")  # the second where there are stacks
RESNET_LAYER = re.compile(r"res(\d)/layer(\d+)/(basicblock|bottleneck)1/conv/W")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What is known of a network; None where the names do not tell.

    architecture: 'resnet18', 'dlav034', ... num_classes: channels of the heatmap. stem_channels: what the first
    convolution gives out, which tells the width.
    """

    architecture: str | None
    layout: Layout | None
    input_channels: int | None
    num_classes: int | None
    stem_channels: int | None


def identify(shapes: Shapes) -> Identity:
    """Read off names and shapes what they can tell, for published files, which have no description."""
    heads = head_channels(shapes)
    stem = input_kernel(shapes)
    return Identity(
        architecture=_architecture(shapes),
        layout=detect_layout(shapes),
        input_channels=input_channels(shapes),
        num_classes=next((heads[name] for name in CLASS_HEADS if name in heads), None),
        stem_channels=shapes[stem][0] if stem else None,
    )


def head_channels(shapes: Shapes) -> dict[str, int]:
    """Name -> channels of every head, in the order of the file."""
    return {match[1]: shapes[name][0] for name in shapes if (match := HEAD_BIAS.fullmatch(name))}


def _architecture(shapes: Shapes) -> str | None:
    for start, architecture in FAMILIES.items():
        if any(name.startswith(start) for name in shapes):
            return architecture
    layers = [match.groups() for match in map(RESNET_LAYER.fullmatch, shapes) if match]
    if not layers:
        return None
    counts = tuple(sum(stage == str(number) for stage, _, _ in layers) for number in range(1, 5))
    depth = RESNETS.get((layers[0][2], counts))
    return None if depth is None else f"{_resnet_family(shapes)}{depth}"


def _resnet_family(shapes: Shapes) -> str:
    """By the 3x3 convolution of the first bottleneck: with groups it sees fewer channels than it gives out."""
    inside, last = (shapes.get(f"res1/layer1/bottleneck{part}/conv/W") for part in (2, 3))
    if inside is None or last is None:
        return "resnet"
    if math.prod(inside) < 9 * inside[0] ** 2:
        return "resnext"
    return "resnet" if 4 * inside[0] == last[0] else "wide_resnet"
