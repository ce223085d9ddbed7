"""A picture of the training so far: losses and AP over epochs, drawn anew after every epoch."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from centernet.engine.checkpoint import Progress
from centernet.engine.monitors import LOSS_SCALE, MAP, TRAINING, VALIDATION, read_series
from centernet.engine.step import StepReport
from centernet.weights.store import write_atomically


class Curves:
    """Draws `path` (PNG) from the series files in `folder`, so that a resumed training shows its whole past.

    Args:
        terms: series of single loss terms to draw thinly beside the total (`hm_loss`).
    """

    def __init__(self, path: Path, *, folder: Path, terms: Sequence[str] = ()) -> None:
        self.path = path
        self._folder = folder
        self._terms = tuple(terms)
        self._is_old = False

    def started(self, progress: Progress) -> None:
        """Nothing to draw yet."""

    def stepped(self, progress: Progress, report: StepReport, *, learning_rate: float, num_images: int, wait: float) -> None:
        """Draw once the epoch before is complete, its validation too."""
        self._draw()

    def epoch_ended(self, epoch: int, losses: Mapping[str, float], *, learning_rate: float) -> None:
        """Something new to draw."""
        self._is_old = True

    def validated(self, epoch: int, losses: Mapping[str, float], metrics: Mapping[str, float]) -> None:
        """Something new to draw."""
        self._is_old = True

    def ended(self, text: str) -> None:
        """The last picture."""
        self._draw()

    def _draw(self) -> None:
        if not self._is_old:
            return
        self._is_old = False
        # The figure object alone: pyplot would keep global state and look for a display.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 4), dpi=90)
        figure.subplots_adjust(left=0.07, right=0.98, bottom=0.13, top=0.96, wspace=0.18)  # a computed layout draws everything twice
        left, right = figure.subplots(1, 2)
        self._plot(left, TRAINING, "training", linewidth=2)
        self._plot(left, VALIDATION, "held out", linewidth=2)
        for term in self._terms:
            self._plot(left, term, term, linewidth=0.8, alpha=0.7)
        left.set(xlabel="epoch", ylabel="loss", yscale="log")
        left.legend()
        self._plot(right, MAP, "AP", linewidth=2, color="tab:green")
        right.set(xlabel="epoch", ylabel="AP, held out", ylim=(0, 1))
        for axes in (left, right):
            axes.grid(alpha=0.3)
            axes.xaxis.get_major_locator().set_params(integer=True)
        if (self._folder / f"{LOSS_SCALE}.series.txt").exists():
            scale = right.twinx()
            self._plot(scale, LOSS_SCALE, "loss scale", linewidth=0.8, alpha=0.7, color="tab:gray")
            scale.set_yscale("log", base=2)
            scale.legend(loc="lower right")
        png = io.BytesIO()
        FigureCanvasAgg(figure).print_png(png)
        write_atomically(self.path, png.getvalue())

    def _plot(self, axes: Any, series: str, label: str, **style: Any) -> None:
        epochs, values = read_series(self._folder / f"{series}.series.txt")
        if epochs:
            axes.plot(epochs, values, marker=".", label=f"{label} {values[-1]:.3g}", **style)
