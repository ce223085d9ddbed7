"""The parts of a configuration put together: what the network is fed with, and where colours are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from centernet import config as configuration
from centernet.data.loader import Loader
from centernet.data.pipeline import ColorOn, Pipeline
from centernet.engine.communicator import Single
from centernet.engine.precision import LossScaler, LossScalingConfig
from centernet.engine.solver import Solver, SolverConfig
from centernet.engine.step import TrainStep
from centernet.experiment.assembly import Assembly, assemble, open_split
from centernet.experiment.schema import ExperimentConfig


@pytest.fixture
def experiment(tmp_path: Path) -> ExperimentConfig:
    """A tiny network, and eight rendered shapes with every colour augmentation."""
    tree: dict[str, Any] = {
        "task": {"name": "ctdet"},
        "data": {
            "dataset": {"name": "shapes", "num_train": 8, "num_val": 1, "image_size": 64},
            "root": str(tmp_path / "shapes"),
            "input_size": [64, 64],
        },
        "model": {
            "backbone": {"name": "resnet", "num_layers": 18, "width": 0.125},
            "neck": {"name": "deconv", "width": 0.125},
            "head": {"name": "conv", "hidden_channels": 8},
            "pretrained_model_dir": None,
        },
        "train": {"batch_size": 4, "precision": {"pad_input_to": 4}},
    }
    return configuration.validate(ExperimentConfig, tree, source="test")


def losses_of_three_steps(config: ExperimentConfig, color_on: ColorOn) -> list[dict[str, float]]:
    dataset = open_split(config.data, "train")
    assembly: Assembly = assemble(config, dataset.classes, dataset.normalization)
    pipeline = Pipeline(dataset, assembly.grid, assembly.task.encode, augment=config.data.augment, channels=4, color_on=color_on)
    step = TrainStep(
        lambda inputs: assembly.losses(inputs, training=True),
        loss_weights=assembly.task.loss_weights,
        solver=Solver(SolverConfig()),
        scaler=LossScaler(LossScalingConfig()),
        communicator=Single(),
        counts=assembly.task.counts,
    )
    with assembly.network.parameter_scope():
        loader = Loader(pipeline, global_batch=4)
        # So small a rate, since rounding alone turns some gradients of a tiny network, which the solver makes full steps of.
        return [step.run(batch.arrays, 1e-6).losses for epoch in (0, 1) for batch in loader.epoch(epoch)][:3]


def test_training_is_the_same_wherever_colours_are_made(experiment: ExperimentConfig) -> None:
    on_host, on_device = (losses_of_three_steps(experiment, color_on) for color_on in ("host", "device"))  # type: ignore[arg-type]
    assert len(on_host) == 3
    for expected, found in zip(on_host, on_device, strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    assert on_host[0] != pytest.approx(on_host[1], rel=1e-2)
