"""Pictures of held-out images, drawn at every measurement, for whoever takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from centernet.engine.checkpoint import Progress
from centernet.engine.step import StepReport
from centernet.weights.store import write_atomically


@runtime_checkable
class PictureSink(Protocol):
    """Who takes pictures."""

    def pictured(self, epoch: int, png: bytes) -> None:
        """The picture drawn after an epoch, a PNG file."""


class Pictures:
    """A monitor that has a picture drawn at every measurement and hands it on.

    Args:
        draw: (epoch) -> a PNG file.
    """

    def __init__(self, draw: Callable[[int], bytes], sinks: Sequence[PictureSink]) -> None:
        self._draw = draw
        self._sinks = tuple(sinks)

    def started(self, progress: Progress) -> None:
        """Nothing to draw yet."""

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        """Not every step is drawn."""

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        """Not every epoch is drawn."""

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        """Draw, with the parameters that were measured."""
        png = self._draw(epoch)
        for sink in self._sinks:
            sink.pictured(epoch, png)

    def ended(self, text: str) -> None:
        """Nothing is left to be drawn."""


class PictureFiles:
    """A monitor that keeps pictures as `epoch_N.png`: the first and the last, and fewer of those between the older they are.

    Args:
        most: so many files at most, >= 3.
    """

    def __init__(self, folder: Path, *, most: int = 20) -> None:
        self.folder = folder
        self._most = most

    def started(self, progress: Progress) -> None:
        """Drop the pictures of what is about to be trained again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for epoch, path in self._files().items():
            if epoch >= progress.epoch:
                path.unlink()

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        """No picture."""

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        """No picture."""

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        """The picture comes by itself."""

    def pictured(self, epoch: int, png: bytes) -> None:
        """A file; where there are too many, every other one between the first and the last goes."""
        write_atomically(self.folder / f"epoch_{epoch}.png", png)
        files = list(self._files().values())
        if len(files) > self._most:
            for path in files[1:-1:2]:
                path.unlink()

    def ended(self, text: str) -> None:
        """All is written."""

    def _files(self) -> dict[int, Path]:
        """The pictures by epoch, in that order."""
        found = {path: re.fullmatch(r"epoch_(\d+)\.png", path.name) for path in self.folder.iterdir()}
        return dict(sorted((int(match[1]), path) for path, match in found.items() if match))
