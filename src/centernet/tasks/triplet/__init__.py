"""Detection of objects as triplets of keypoints (Duan et al. 2019, CenterNet: Keypoint Triplets, arXiv:1904.08189)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from centernet.models.specs import Layout
from centernet.structures import ClassTable
from centernet.tasks.triplet.config import Config
from centernet.tasks.triplet.published import DETECTS_BY, PUBLISHED, read_heads

if TYPE_CHECKING:
    from centernet.tasks.base import Task

__all__ = ["DETECTS_BY", "PUBLISHED", "Config", "build", "read_heads"]


def build(config: Config, classes: ClassTable, *, layout: Layout = "nchw") -> Task:
    """The task for these classes; `layout` is that of the head maps its losses are given."""
    # Here, since it loads NNabla, which the processes that only encode must do without.
    from centernet.tasks.triplet.task import Triplets

    return Triplets(config, classes, layout)
