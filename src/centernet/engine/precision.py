"""Loss scaling: keep half-precision gradients representable, and recover when they are not."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT, TrainingError


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossScalingConfig:
    """How the loss is scaled before backward.

    scale: the first factor. dynamic: halve it when a gradient overflows and skip that step, double it after
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

    def update(self, is_finite: bool) -> None:
        """Adapt to the outcome of one step.

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
            raise TrainingError(
                f"gradients are not finite in {self.skips} steps in a row, the last with loss scale {self.scale:g}; "
                "lower the learning rate or train in float32"
            )
        self.scale /= self.config.factor

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"scale": self.scale, "counter": self.counter, "skips": self.skips}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from a checkpoint's state."""
        self.scale = float(state["scale"])
        self.counter = int(state["counter"])
        self.skips = int(state["skips"])
