"""The learning rate of every step, as a pure function of the position in training."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScheduleConfig:
    """Warm-up, a straight line up to base_lr, then down. At a share p of the way from the end of warm-up to that of training:

    cosine: half a cosine to final_factor * base_lr (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, without restarts).
    polynomial: (1 - p)^power of the way there (linear with a power of 1). exponential: base_lr * decay_rate^p.
    step: times decay_rate at each of lr_steps, in epochs. one_cycle: warm-up itself is half a cosine, from base_lr / rise_from;
    another one leads down (Smith and Topin 2018, arXiv:1708.07120; without their cycle of momentum).

    base_lr: as used, unless scale_lr_from says for which global batch it is made: then it grows linearly with the global batch
    (Goyal et al. 2017, arXiv:1706.02677, section 2.1). epochs: where the way down ends; None: with training.
    per: `epoch` holds the rate within an epoch, as the predecessor does. legacy_warmup: divide by one epoch more.
    """

    kind: Literal["cosine", "step", "polynomial", "one_cycle", "exponential"] = "cosine"
    base_lr: Annotated[float, Field(gt=0)] = 5e-4
    scale_lr_from: Annotated[int, Field(gt=0)] | None = None
    warmup_epochs: Annotated[int, Field(ge=0)] = 5
    epochs: Annotated[int, Field(gt=0)] | None = None
    lr_steps: tuple[Annotated[int, Field(ge=0)], ...] = (90, 120)
    decay_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    final_factor: Annotated[float, Field(ge=0, le=1)] = 0.0
    power: Annotated[float, Field(gt=0)] = 0.9
    rise_from: Annotated[float, Field(ge=1)] = 25.0
    per: Literal["iteration", "epoch"] = "iteration"
    legacy_warmup: bool = False

    def __post_init__(self) -> None:
        if self.kind == "one_cycle" and self.legacy_warmup:
            raise ValueError("legacy_warmup: the warm-up of one_cycle is a cosine, which has nothing of the predecessor's")
        for key, kind, default in (("power", "polynomial", 0.9), ("rise_from", "one_cycle", 25.0)):
            if self.kind != kind and getattr(self, key) != default:
                raise ValueError(f"{key}: is of {kind}, found {self.kind}; leave it out")
        ends_at_zero = self.kind in ("cosine", "polynomial", "one_cycle") and not self.final_factor
        if ends_at_zero and self.epochs is not None and self.epochs <= self.warmup_epochs:
            raise ValueError(
                f"epochs: the way down of {self.kind} ends after {self.epochs}, but warm-up takes {self.warmup_epochs} (warmup_epochs), "
                "so that nothing would be learnt after it; expected more epochs, or fewer of warm-up"
            )
        if self.final_factor and self.kind in ("step", "exponential"):
            raise ValueError(f"final_factor: is of cosine, polynomial and one_cycle; {self.kind} ends where decay_rate leads")


def for_global_batch(config: ScheduleConfig, global_batch: int) -> ScheduleConfig:
    """The schedule as it is used with a global batch: `base_lr` is what training uses, and nothing scales it any more."""
    if config.scale_lr_from is None:
        return config
    return replace(config, base_lr=config.base_lr * global_batch / config.scale_lr_from, scale_lr_from=None)


def learning_rate(config: ScheduleConfig, *, epoch: int, batch: int = 0, batches_per_epoch: int = 1, num_epochs: int) -> float:
    """The learning rate of one step.

    With `per="epoch"`, or one batch per epoch, these are the predecessor's numbers: base * (e + 1) / warmup, then
    base / 2 * (1 + cos(pi * (e - warmup) / (epochs - warmup))) or base * rate^(number of lr_steps <= e).

    Args:
        epoch: counted from 0.
        batch: of this epoch, counted from 0, below `batches_per_epoch`.
        num_epochs: length of the training, where `config.epochs` is None.
    """
    if config.per == "epoch":
        batch, batches_per_epoch = 0, 1
    start = epoch + batch / batches_per_epoch  # when the step begins, in epochs
    end = epoch + (batch + 1) / batches_per_epoch
    if epoch < config.warmup_epochs:
        if config.kind == "one_cycle":
            return _half_cosine(config.base_lr / config.rise_from, config.base_lr, end / config.warmup_epochs)
        return config.base_lr * end / (config.warmup_epochs + config.legacy_warmup)
    if config.kind == "step":
        return config.base_lr * config.decay_rate ** sum(step <= epoch for step in config.lr_steps)
    length = (config.epochs or num_epochs) - config.warmup_epochs
    progress = min((start - config.warmup_epochs) / length, 1.0) if length > 0 else 1.0
    if config.kind == "exponential":
        return config.base_lr * config.decay_rate**progress
    last = config.base_lr * config.final_factor
    if config.kind == "polynomial":
        return last + (config.base_lr - last) * (1 - progress) ** config.power
    return _half_cosine(config.base_lr, last, progress)


def _half_cosine(first: float, last: float, progress: float) -> float:
    """Level at both ends; `progress` in [0, 1]."""
    return last + 0.5 * (first - last) * (1 + math.cos(math.pi * progress))
