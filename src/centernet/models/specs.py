"""What the parts of a network promise each other: feature maps and heads, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Layout = Literal["nchw", "nhwc"]

CHANNEL_MULTIPLE = 8  # tensor cores and SIMD units like it; also the fewest channels a narrowed layer keeps


@dataclass(frozen=True)
class FeatureSpec:
    """One feature map: input pixels per cell, and channels."""

    stride: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """One output map of the network.

    scope: the parameter scope in published files ('hm', 'reg', 'wh'). channels: of the output map.
    kind: decides the initial weights. bias: initial bias of the last layer; -2.19 makes a heatmap start at
    probability 0.1 everywhere (Lin et al. 2017, Focal Loss, arXiv:1708.02002, section 4.1).
    channel_names: what each channel is, with its unit, for pictures of the maps; heatmaps have the classes'.
    """

    scope: str
    channels: int
    kind: Literal["heatmap", "regression"]
    bias: float = 0.0
    channel_names: tuple[str, ...] = ()


def scaled(channels: int, width: float) -> int:
    """`channels` times the width multiplier, rounded to a multiple of 8 and never below 8; unchanged at width 1."""
    if width == 1:
        return channels
    return max(CHANNEL_MULTIPLE, round(channels * width / CHANNEL_MULTIPLE) * CHANNEL_MULTIPLE)
