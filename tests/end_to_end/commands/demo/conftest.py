"""`centernet demo` on a network whose detections differ from each other, and what a run of it wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

JSON = {"detections.jsonl", "detections.json"}


@dataclass(frozen=True)
class Demo:
    """Called with a source, an output folder and further words, it runs the command."""

    centernet: Callable[..., Any]
    model: Path

    def __call__(self, source: Path, output: Path, *words: object) -> Any:
        command = ("demo", "ctdet", "--checkpoint", self.model, "--demo", source, "--save_dir", output, "--precision", "float32")
        return self.centernet(*command, *words)

    def load(self, path: Path) -> Any:
        import centernet

        return centernet.load(path, precision="float32")

    def names(self, folder: Path) -> set[str]:
        """All files but the JSON, which is always there."""
        found = {path.name for path in folder.iterdir()}
        assert found >= JSON
        return found - JSON

    def lines(self, folder: Path) -> list[Any]:
        return [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]

    def results(self, folder: Path) -> Any:
        return json.loads((folder / "detections.json").read_text())


@pytest.fixture
def demo(tiny: Any, centernet: Callable[..., Any]) -> Demo:
    return Demo(centernet, tiny.lively)
