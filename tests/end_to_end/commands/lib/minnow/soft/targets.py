"""The targets: those of the detection task, and how often they were made in a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def encode(sample: Any, grid: Any, *, detection: Callable[..., Mapping[str, Any]], out: Mapping[str, Any] | None = None) -> Any:
    """As the detection task does it."""
    return detection(sample, grid, out=out)
