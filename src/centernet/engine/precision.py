"""Loss scaling: keep half-precision gradients representable, and recover when they are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT, TrainingError


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossScalingConfig:
    """How the loss is scaled before backward.

    scale: the first factor. dynamic: halve it when a loss or gradient overflows and skip that step, double it after
    `growth_interval` good steps in a row; more than `max_skips` overflows in a row end training.
    """

    scale: Annotated[float, Field(gt=0)] = 1.0
    dynamic: bool = False
    growth_interval: Annotated[int, Field(gt=0)] = 2000
    factor: Annotated[float, Field(gt=1)] = 2.0
    max_skips: Annotated[int, Field(ge=0)] = 10


class LossScaler:
    """The current scale; all ranks hold the same because they see the same summed gradients."""

    def __init__(self, config: LossScalingConfig | None = None) -> None:
        self.config = config or LossScalingConfig()
        self.scale = self.config.scale
        self.counter = 0  # good steps since the last change
        self.skips = 0  # bad steps in a row

    @property
    def dynamic(self) -> bool:
        """Whether an overflow is skipped rather than an error."""
        return self.config.dynamic

    @property
    def is_used(self) -> bool:
        """Whether losses are scaled at all."""
        return self.config.dynamic or self.scale != 1

    def update(self, is_finite: bool, *, explain: Callable[[], str] | None = None) -> None:
        """Adapt to the outcome of one step.

        Args:
            explain: asked only before giving up: where the overflow was.

        Raises:
            TrainingError: gradients overflowed more than `max_skips` times in a row.
        """
        if not self.config.dynamic:
            return
        if is_finite:
            self.skips = 0
            self.counter += 1
            if self.counter >= self.config.growth_interval:
                self.scale *= self.config.factor
                self.counter = 0
            return
        self.skips += 1
        self.counter = 0
        if self.skips > self.config.max_skips:
            where = f": {explain()}" if explain is not None else ""
            raise TrainingError(
                f"losses or gradients are not finite in {self.skips} steps in a row, the last with loss scale {self.scale:g}{where}; "
                "lower the learning rate or train in float32"
            )
        self.scale /= self.config.factor

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"scale": self.scale, "counter": self.counter, "skips": self.skips}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from a checkpoint's state; a scale that does not change is the configuration's."""
        if not self.config.dynamic:
            return
        self.scale = float(state["scale"])
        self.counter = int(state["counter"])
        self.skips = int(state["skips"])
