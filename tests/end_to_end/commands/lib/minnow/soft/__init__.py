"""A task: detection with a heatmap loss of its own."""

from __future__ import annotations

from centernet.models.specs import Layout
from centernet.structures import ClassTable
from centernet.tasks.base import Task
from minnow.soft.config import Config

__all__ = ["Config", "build"]


def build(config: Config, classes: ClassTable, *, layout: Layout = "nchw") -> Task:
    """The task for these classes."""
    from minnow.soft.task import SoftDetection

    return SoftDetection(config, classes, layout)
