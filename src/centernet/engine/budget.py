"""How many epochs fit into the time there is, and the schedule that goes with them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from centernet.engine.schedule import ScheduleConfig

RESERVE = 0.05  # of the time, for writing checkpoints, and for steps that take longer than the measured ones
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
NUMBER = r"\d+(?:\.\d+)?"


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Measured seconds: of a step with its data, and of one measurement of the held-out images."""

    step: float
    validation: float
    batches_per_epoch: int
    validate_every: int

    def seconds(self, num_epochs: int) -> float:
        """Of a training of so many epochs."""
        return num_epochs * self.batches_per_epoch * self.step + self.num_validations(num_epochs) * self.validation

    def num_validations(self, num_epochs: int) -> int:
        """Every `validate_every` epochs, the first and the last counting."""
        return -(-num_epochs // self.validate_every) + ((num_epochs - 1) % self.validate_every > 0)


def seconds_of(text: str) -> float:
    """`2h`, `1h30m`, `90m`, `1.5h` or `45s` in seconds.

    Raises:
        ValueError: it is not one of these, or 0.
    """
    match = re.fullmatch("".join(rf"(?:({NUMBER}){unit})?" for unit in UNITS), text)
    seconds = sum(float(number or 0) * unit for number, unit in zip(match.groups(), UNITS.values(), strict=True)) if match else 0.0
    if not seconds:
        raise ValueError(f"found '{text}', expected a time such as 2h, 1h30m, 90m or 45s")
    return seconds


def duration_text(seconds: float) -> str:
    """Seconds as a person says them: `1h 54min`, `3min 20s`, `45s`."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h {whole % 3600 // 60}min"
    return f"{whole // 60}min {whole % 60}s" if whole >= 60 else f"{whole}s"


def epochs_within(seconds: float, costs: Costs) -> int:
    """The most epochs that take no longer, but for the reserve; 0 where not even one does."""
    available = seconds * (1 - RESERVE)
    low, high = 0, 1
    while costs.seconds(high) <= available:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if costs.seconds(middle) <= available else (low, middle)
    return low


def stretched(schedule: ScheduleConfig, *, num_epochs: int, made_for: int) -> ScheduleConfig:
    """A schedule made for another number of epochs: its steps at the same shares of training, its warm-up never longer."""
    factor = num_epochs / made_for
    warmup = min(schedule.warmup_epochs, max(round(schedule.warmup_epochs * factor), 1), num_epochs - 1)
    steps = tuple(dict.fromkeys(max(round(step * factor), 1) for step in schedule.lr_steps))
    length = None if schedule.epochs is None else max(round(schedule.epochs * factor), warmup + 1)
    return replace(schedule, warmup_epochs=warmup, lr_steps=steps, epochs=length)
