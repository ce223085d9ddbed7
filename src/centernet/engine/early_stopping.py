"""When training ends before its time: held-out images are not found better any more."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.engine.checkpoint import Progress
from centernet.errors import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EarlyStoppingConfig:
    """End training once `patience` measurements in a row (not epochs: see validate_every) have not raised AP by more than min_delta
    above the last that did. min_delta: in AP, from 0 to 1.
    """

    patience: Annotated[int, Field(gt=0)] = 10
    min_delta: Annotated[float, Field(ge=0, lt=1)] = 0.0


def measured(progress: Progress, value: float, *, min_delta: float) -> Progress:
    """The progress after one measurement; one that is not a number is no gain."""
    gained = not math.isnan(value) and (progress.mark is None or value > progress.mark + min_delta)
    return replace(progress, mark=value, num_stale=0) if gained else replace(progress, num_stale=progress.num_stale + 1)


def explain(config: EarlyStoppingConfig, progress: Progress) -> str:
    """Why training ended."""
    mark = "no AP at all" if progress.mark is None else f"AP has not risen by more than {config.min_delta:g} above {progress.mark:.4f}"
    return f"stopped early after {progress.epoch} epochs: {mark} in {progress.num_stale} measurements"
