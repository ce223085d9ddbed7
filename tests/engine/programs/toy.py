"""A detector-free training small enough for tests: two convolutions, two loss terms, batches made from (epoch, index)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
import numpy as np

from centernet.engine.checkpoint import Checkpointer
from centernet.engine.communicator import Communicator
from centernet.engine.context import in_float
from centernet.engine.precision import LossScaler, LossScalingConfig
from centernet.engine.schedule import ScheduleConfig, learning_rate
from centernet.engine.solver import GroupConfig, Solver, SolverConfig
from centernet.engine.step import TrainStep
from centernet.engine.trainer import Trainer

WEIGHTS = {"square": 1.0, "absolute": 0.1}
BATCHES = 4
# Options of a step that trains parts of the network differently, and one not at all.
IN_PARTS: dict[str, Any] = {
    "solver": SolverConfig(weight_decay=1e-3, groups=(GroupConfig(pattern="two/*", lr_factor=0.25, weight_decay=0.0),)),
    "frozen": ("one/conv/W", "norm/bn/beta", "norm/bn/gamma", "norm/bn/mean", "norm/bn/var"),
}


@dataclass(frozen=True)
class Batch:
    arrays: dict[str, Any]
    names: list[str]


@dataclass
class Loader:
    """Image i of global batch k of epoch e has a seed of its own, whoever loads it."""

    rank: int = 0
    size: int = 1
    global_batch: int = 4
    batches_per_epoch: int = BATCHES
    poison: tuple[int, int, int] | None = None  # (epoch, batch, image) whose target is inf
    served: list[str] = field(default_factory=list)

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        part = self.global_batch // self.size
        for k in range(start_batch, self.batches_per_epoch):
            indices = range(self.rank * part, (self.rank + 1) * part)
            rngs = [np.random.default_rng((epoch, k, i)) for i in indices]
            image = np.stack([rng.normal(size=(3, 8, 8)).astype(np.float32) for rng in rngs])
            target = np.stack([rng.normal(size=(2, 8, 8)).astype(np.float32) for rng in rngs])
            if self.poison is not None and self.poison[:2] == (epoch, k) and self.poison[2] in indices:
                target[self.poison[2] - indices[0]] = np.inf
            names = [f"e{epoch}b{k}i{i}.jpg" for i in indices]
            self.served += names
            yield Batch({"image": image, "target": target, "count": np.arange(1.0, 1.0 + part) + indices[0]}, names)


def losses(inputs: dict[str, nn.Variable], batch_stat: bool = True) -> dict[str, nn.Variable]:
    h = PF.convolution(inputs["image"], 6, (3, 3), pad=(1, 1), name="one", with_bias=False)
    with nn.context_scope(in_float(nn.get_current_context())):  # as networks have it: statistics are float32
        h = PF.batch_normalization(h, name="norm", batch_stat=batch_stat)
    h = F.relu(h)
    difference = PF.convolution(h, 2, (1, 1), name="two") - inputs["target"]
    return {"square": F.sum(difference * difference) / inputs["count"], "absolute": F.sum(F.abs(difference)) / inputs["count"]}


def draw_parameters(seed: int = 0) -> None:
    """Create the network's parameters with values that depend on the seed only."""
    zeros = {"image": nn.Variable((1, 3, 8, 8)), "target": nn.Variable((1, 2, 8, 8)), "count": nn.Variable(())}
    with nn.auto_forward(False):
        losses(zeros)
    rng = np.random.default_rng(seed)
    for name, parameter in nn.get_parameters(grad_only=False).items():
        values = rng.normal(size=parameter.shape) * 0.3
        parameter.d = (np.abs(values) + 0.5 if name.endswith(("gamma", "var")) else values).astype(np.float32)


def make_step(
    communicator: Communicator, *, batch_stat: bool = True, scaling: LossScalingConfig | None = None, **options: Any
) -> TrainStep:
    solver = Solver(options.pop("solver", SolverConfig(weight_decay=1e-3)))
    return TrainStep(
        lambda inputs: losses(inputs, batch_stat),
        loss_weights=WEIGHTS,
        solver=solver,
        scaler=LossScaler(scaling),
        communicator=communicator,
        counts=("count",),
        **options,
    )


def make_trainer(
    communicator: Communicator, folder: Path | None, *, num_epochs: int = 3, loader: Loader | None = None, **options: Any
) -> Trainer:
    schedule = ScheduleConfig(base_lr=1e-2, warmup_epochs=1)

    def rate(epoch: int, batch: int) -> float:
        return learning_rate(schedule, epoch=epoch, batch=batch, batches_per_epoch=BATCHES, num_epochs=num_epochs)

    return Trainer(
        step=options.pop("step", None) or make_step(communicator, **options.pop("step_options", {})),
        loader=loader or Loader(rank=communicator.rank, size=communicator.size),
        learning_rate=rate,
        num_epochs=num_epochs,
        communicator=communicator,
        checkpointer=Checkpointer(folder) if folder is not None else None,
        **options,
    )


def parameter_values() -> dict[str, Any]:
    return {name: parameter.d.copy() for name, parameter in nn.get_parameters(grad_only=False).items()}
