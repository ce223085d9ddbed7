"""What a file's parameter names and shapes say about the network they belong to; the words of error messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from centernet.weights.layout import INPUT_KERNEL, Layout, detect_layout, input_channels

RESNETS = {
    ("basicblock", (2, 2, 2, 2)): 18,
    ("basicblock", (3, 4, 6, 3)): 34,
    ("bottleneck", (3, 4, 6, 3)): 50,
    ("bottleneck", (3, 4, 23, 3)): 101,
    ("bottleneck", (3, 8, 36, 3)): 152,
}
CLASS_BIAS = "hm_final/conv/b"  # one value per class
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


def identify(shapes: Mapping[str, tuple[int, ...]]) -> Identity:
    """Read off names and shapes what they can tell, for published files, which have no description."""
    classes, stem = shapes.get(CLASS_BIAS), shapes.get(INPUT_KERNEL)
    return Identity(
        architecture=_architecture(shapes),
        layout=detect_layout(shapes),
        input_channels=input_channels(shapes),
        num_classes=classes[0] if classes else None,
        stem_channels=stem[0] if stem else None,
    )


def _architecture(names: Iterable[str]) -> str | None:
    names = list(names)
    if any(name.startswith("level5/") for name in names):
        return "dlav034"
    layers = [match.groups() for match in map(RESNET_LAYER.fullmatch, names) if match]
    if not layers:
        return None
    counts = tuple(sum(stage == str(number) for stage, _, _ in layers) for number in range(1, 5))
    depth = RESNETS.get((layers[0][2], counts))
    return None if depth is None else f"resnet{depth}"
