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


@dataclass(frozen=True)
class InputSizes:
    """The heights and widths of images that a network takes, in pixels: multiples of a number and, where so, one less."""

    multiple: int
    or_one_less: bool = False

    def takes(self, side: int) -> bool:
        """Whether a height or width is one of them."""
        return side > 0 and -side % self.multiple <= int(self.or_one_less)

    def nearest(self, side: int) -> int:
        """The one that is nearest to a height or width; of two as near the larger."""
        below = side // self.multiple * self.multiple
        candidates = [multiple - less for multiple in (below, below + self.multiple) for less in range(1 + self.or_one_less)]
        return min(filter(self.takes, candidates), key=lambda candidate: (abs(candidate - side), -candidate))

    def __str__(self) -> str:
        return f"multiples of {self.multiple}" + (", or one less" if self.or_one_less else "")


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """One output map of the network.

    scope: the parameter scope in published files ('hm', 'reg', 'wh'). channels: of the output map.
    kind: decides the initial weights. bias: initial bias of the last layer; -2.19 makes a heatmap start at
    probability 0.1 everywhere (Lin et al. 2017, Focal Loss, arXiv:1708.02002, section 4.1).
    channel_names: what each channel is, with its unit, for pictures of the maps; heatmaps have the classes'.
    stack: which of a network's stacks it belongs to; None where there are no stacks.
    """

    scope: str
    channels: int
    kind: Literal["heatmap", "regression"]
    bias: float = 0.0
    channel_names: tuple[str, ...] = ()
    stack: int | None = None

    def layer(self, name: str) -> str:
        """The parameter scope of one of the head's layers."""
        return f"{self.scope}_{name}" if self.stack is None else f"{self.scope}/{self.stack}/{name}"


def scaled(channels: int, width: float) -> int:
    """`channels` times the width multiplier, rounded to a multiple of 8 and never below 8; unchanged at width 1."""
    if width == 1:
        return channels
    return max(CHANNEL_MULTIPLE, round(channels * width / CHANNEL_MULTIPLE) * CHANNEL_MULTIPLE)
