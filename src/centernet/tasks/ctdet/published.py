"""What published networks of the detection task are like, and how their files are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DETECTS_BY = "centre points, which has heads hm, wh and reg"
# What published experiments fix besides data set and architecture, as sections of a YAML file.
PUBLISHED: Mapping[str, Any] = {"model": {"head": {"name": "conv"}}}


def read_heads(channels: Mapping[str, int]) -> tuple[int, dict[str, Any]] | None:
    """The number of classes of a file with such heads, and the keys of the task's section that they ask for; None: another task's.

    Args:
        channels: name → channels of each head. A size for each class was trained with `--cat_spec_wh`.
    """
    classes = channels.get("hm")
    if classes is None:
        return None
    has_size_per_class = classes > 1 and channels.get("wh") == 2 * classes
    return classes, {"boxes.per_class": True} if has_size_per_class else {}
