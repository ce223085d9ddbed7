"""What published networks of the triplet task are like, and how their files are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DETECTS_BY = "keypoint triplets, which has heads tl_heats, br_heats, ct_heats, tl_tags, br_tags, tl_regrs, br_regrs and ct_regrs"
# What published experiments fix besides data set and architecture, as sections of a YAML file.
PUBLISHED: Mapping[str, Any] = {
    "data": {"input_size": [511, 511], "augment": {"crop_of": "input"}},
    "model": {"head": {"name": "triplet"}},
    "train": {"epochs": 200, "batch_size": None, "global_batch_size": 48, "schedule": {"base_lr": 5e-4}},
}


def read_heads(channels: Mapping[str, int]) -> tuple[int, dict[str, Any]] | None:
    """The number of classes of a file with such heads, and the keys of the task's section that they ask for; None: another task's.

    Args:
        channels: name → channels of each head.
    """
    classes = channels.get("tl_heats")
    return None if classes is None or "tl_tags" not in channels else (classes, {})
