"""What the training benchmarks train: the quick start's network on rendered shapes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nnabla as nn

from centernet.data.augment import AugmentConfig
from centernet.data.datasets import shapes
from centernet.data.loader import Loader
from centernet.data.pipeline import Pipeline
from centernet.engine.communicator import Communicator
from centernet.engine.precision import LossScaler
from centernet.engine.solver import Solver, SolverConfig
from centernet.engine.step import TrainStep
from centernet.engine.trainer import Trainer
from centernet.models.backbones import resnet
from centernet.models.heads import conv
from centernet.models.necks import deconv
from centernet.models.network import Network
from centernet.structures import Grid
from centernet.tasks import ctdet
from centernet.tasks.base import Task

WIDTH = 0.25
SIDE = 128  # of the input, pixels
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Workload:
    """A task, a network with parameters of its own, and batches."""

    task: Task
    network: Network
    loader: Loader

    def losses(self, inputs: dict[str, nn.Variable]) -> Mapping[str, nn.Variable]:
        """Image and targets in, losses out."""
        return self.task.losses(self.network(inputs["image"], training=True), inputs)

    def trainer(self, communicator: Communicator) -> Trainer:
        """Trains one epoch; its step holds the graph after the first."""
        step = TrainStep(
            self.losses,
            loss_weights=self.task.loss_weights,
            solver=Solver(SolverConfig()),
            scaler=LossScaler(),
            communicator=communicator,
            counts=self.task.counts,
        )
        return Trainer(
            step=step, loader=self.loader, learning_rate=lambda epoch, batch: LEARNING_RATE, num_epochs=1, communicator=communicator
        )


def workload(folder: Path, *, global_batch: int, num_batches: int, communicator: Communicator) -> Workload:
    """Quarter-width ResNet-18 at 128x128 on shapes in `folder`, rendered there where they are not.

    Args:
        global_batch: images in a step over all processes.
        num_batches: steps in an epoch.
    """
    dataset = shapes.open_split(shapes.Config(num_train=global_batch * num_batches, num_val=1, image_size=SIDE), folder, "train")
    task = ctdet.build(ctdet.Config(), dataset.classes)
    network = Network(
        resnet.Config(num_layers=18, width=WIDTH), deconv.Config(width=WIDTH), conv.Config(width=WIDTH), task.heads, scope=OrderedDict()
    )
    pipeline = Pipeline(dataset, Grid(SIDE, SIDE, network.stride), task.encode, augment=AugmentConfig())
    loader = Loader(pipeline, global_batch=global_batch, rank=communicator.rank, size=communicator.size, workers=1)
    return Workload(task, network, loader)
