"""What the tasks say of published networks: which head plug-in theirs have, on what they are trained, and which files are theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from centernet import plugins
from centernet.config import Tree
from centernet.experiment.assembly import TASKS


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A task whose heads a network or a published file has. options: keys of the task's section that the heads ask for."""

    task: str
    num_classes: int
    options: Mapping[str, Any]


def published(task: str) -> Tree:
    """What published experiments of a task fix besides data set and architecture, as sections of a YAML file."""
    sections: Tree = getattr(_plugin(task), "PUBLISHED", {})
    return sections


def of_head(head: str) -> str:
    """The task whose published networks have this head plug-in; the first of the folder where it is none's."""
    tasks = plugins.names(TASKS)
    return next((task for task in tasks if published(task).get("model", {}).get("head", {}).get("name") == head), tasks[0])


def detectors() -> list[str]:
    """By what the tasks detect, and which heads that needs, in the words of errors."""
    return [plugin.DETECTS_BY for plugin in map(_plugin, plugins.names(TASKS)) if hasattr(plugin, "DETECTS_BY")]


def claim(channels: Mapping[str, int]) -> Claim | None:
    """The task that heads are of; None where they are no task's here.

    Args:
        channels: name → channels of each head, the names those of published files.
    """
    for task in plugins.names(TASKS):
        reader = getattr(_plugin(task), "read_heads", None)
        found = reader and reader(channels)
        if found is not None:
            num_classes, options = found
            return Claim(task=task, num_classes=num_classes, options=options)
    return None


@cache
def _plugin(task: str) -> ModuleType:
    return plugins.load(TASKS, task)
