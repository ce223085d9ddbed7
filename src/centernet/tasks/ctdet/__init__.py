"""Detection of objects as centre points (Zhou et al. 2019, Objects as Points, arXiv:1904.07850)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from centernet.models.specs import Layout
from centernet.structures import ClassTable
from centernet.tasks.ctdet.config import Config
from centernet.tasks.ctdet.published import DETECTS_BY, PUBLISHED, read_heads

if TYPE_CHECKING:
    from centernet.tasks.base import Task

__all__ = ["DETECTS_BY", "PUBLISHED", "Config", "build", "read_heads"]


def build(config: Config, classes: ClassTable, *, layout: Layout = "nchw") -> Task:
    """The task for these classes; `layout` is that of the head maps its losses are given."""
    # Here, since it loads NNabla, which the processes that only encode must do without.
    from centernet.tasks.ctdet.task import CenterDetection

    return CenterDetection(config, classes, layout)
