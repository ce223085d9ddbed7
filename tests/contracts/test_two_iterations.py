"""Every file of `cfg/` and `recipes/` trains: loaded, built and run for two iterations at the smallest input its network takes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import nnabla as nn
import numpy as np
import pytest

from centernet.engine import communicator as communicators
from centernet.engine.context import resolve
from centernet.engine.moving_average import MovingAverage
from centernet.engine.precision import LossScaler
from centernet.engine.schedule import learning_rate
from centernet.engine.solver import Solver
from centernet.engine.step import TrainStep
from centernet.errors import ConfigError
from centernet.experiment.assembly import Assembly, assemble
from centernet.experiment.choice import Choice, experiment
from centernet.experiment.published import known_of
from centernet.experiment.schema import ExperimentConfig
from centernet.structures import Array, ClassTable, Normalization, Sample

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "cfg").glob("*.yaml"), *(ROOT / "recipes").glob("*.yaml")])
SIDES = (32, 64, 128)
SHAPES = ClassTable(tuple("abcde")), Normalization((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))  # quickstart's are known once they are drawn
# Those of many seconds, half precision most of all, and those that differ from another file in classes or epochs only.
SLOW = ("hourglass", "101", "resnext", "_mp", "pascal", "_2x")


def at_its_smallest(path: Path) -> tuple[ExperimentConfig, Assembly]:
    """The file's experiment on a CPU, which has no NHWC, with one image of as few pixels as the network takes."""
    keys = {"train.batch_size": 1, "train.precision.channel_last": False}
    for side in SIDES:
        config = experiment(Choice(yaml=path, input_size=(side, side), keys=keys))
        with suppress(ConfigError):  # the network does not take it
            return config, assemble(config, *(SHAPES if path.stem.startswith("quickstart") else known_of(config.data)))
    raise AssertionError(f"no network takes more than {SIDES[-1]} pixels a side as its smallest input")


def batch(assembly: Assembly) -> dict[str, Array]:
    """One image with an object, as a loader makes it."""
    rng, grid = np.random.default_rng(0), assembly.grid
    sample = Sample(image=np.zeros((grid.height, grid.width, 3), np.uint8), boxes=[[3, 5, 25, 21]], class_ids=[1])
    image = rng.standard_normal(assembly.network.input_shape(1, grid.height, grid.width)).astype(np.float32)
    return {"image": image, **{name: array[None] for name, array in assembly.task.encode(sample, grid).items()}}


def step_of(config: ExperimentConfig, assembly: Assembly) -> TrainStep:
    train, task = config.train, assembly.task
    return TrainStep(
        lambda inputs: assembly.losses(inputs, training=True, recompute=train.recompute),
        loss_weights=task.loss_weights,
        solver=Solver(train.solver),
        scaler=LossScaler(train.precision.loss_scaling),
        communicator=communicators.create(nn.get_current_context()),
        counts=task.counts,
        gradient_clip=train.gradient_clip,
        average=MovingAverage(train.moving_average) if train.moving_average else None,
    )


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if any(word in path.stem for word in SLOW) else []) for path in FILES],
)
def test_a_configuration_trains_for_two_iterations(path: Path) -> None:
    config, assembly = at_its_smallest(path)
    arrays = batch(assembly)
    with assembly.network.parameter_scope(), nn.context_scope(resolve("cpu", gpu=None, type_config=config.train.precision.compute).context):
        parameters = assembly.network.parameters()
        step = step_of(config, assembly)
        before = {name: variable.d.copy() for name, variable in parameters.items()}
        rates = [learning_rate(config.train.schedule, epoch=epoch, num_epochs=config.train.epochs) for epoch in range(2)]
        reports = [step.run(arrays, rate) for rate in rates]
    assert all(np.isfinite(report.total) and report.gradient_norm > 0 and not report.is_skipped for report in reports)
    assert set(reports[0].losses) == set(assembly.task.loss_weights)
    moved = {name for name, variable in parameters.items() if (variable.d != before[name]).any()}
    for head in assembly.task.heads.values():  # below, batch norm leaves nothing of an image that is one cell of the coarsest feature
        assert any(name.startswith(head.scope) for name in moved), head.scope
    if step.average is not None:
        assert step.average.num_updates == 2
