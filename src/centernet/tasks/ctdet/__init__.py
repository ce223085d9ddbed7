"""Detection of objects as centre points (Zhou et al. 2019, Objects as Points, arXiv:1904.07850)."""

from __future__ import annotations

from centernet.models.specs import Layout
from centernet.structures import ClassTable
from centernet.tasks.base import Task
from centernet.tasks.ctdet.config import Config
from centernet.tasks.ctdet.task import CenterDetection

__all__ = ["Config", "build"]


def build(config: Config, classes: ClassTable, *, layout: Layout = "nchw") -> Task:
    """The task for these classes; `layout` is that of the head maps its losses are given."""
    return CenterDetection(config, classes, layout)
