"""What the training benchmarks train: the experiment of `make quickstart`, on few images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nnabla as nn

from centernet.data.loader import Loader
from centernet.engine.communicator import Communicator
from centernet.engine.monitors import CsvFile
from centernet.engine.precision import LossScaler
from centernet.engine.progress import ProgressBar
from centernet.engine.solver import Solver
from centernet.engine.step import TrainStep
from centernet.engine.trainer import Monitor, Trainer
from centernet.experiment import batches, choice
from centernet.experiment.assembly import Assembly, assemble
from centernet.experiment.schema import ExperimentConfig
from report import ROOT


@dataclass(frozen=True)
class Workload:
    """The quick start's task, network (with parameters of its own) and batches."""

    config: ExperimentConfig
    assembly: Assembly
    loader: Loader
    folder: Path

    def losses(self, inputs: dict[str, nn.Variable]) -> Mapping[str, nn.Variable]:
        """Image and targets in, losses out."""
        return self.assembly.losses(inputs, training=True)

    def trainer(self, communicator: Communicator, *more: Monitor) -> Trainer:
        """Trains one epoch, with the monitors that are told of every step and `more`; call `fit` again for another one."""
        settings = self.config.train
        step = TrainStep(
            self.losses,
            loss_weights=self.assembly.task.loss_weights,
            solver=Solver(settings.solver),
            scaler=LossScaler(settings.precision.loss_scaling),
            communicator=communicator,
            counts=self.assembly.task.counts,
            gradient_clip=settings.gradient_clip,
        )
        return Trainer(
            step=step,
            loader=self.loader,
            learning_rate=lambda epoch, batch: settings.schedule.base_lr,
            num_epochs=1,
            communicator=communicator,
            monitors=[
                CsvFile(self.folder / "metrics.csv", every=settings.log_every),
                ProgressBar(num_epochs=1, batches_per_epoch=self.loader.batches_per_epoch),
                *more,
            ],
        )


def workload(folder: Path, *, num_images: int, batch_size: int, communicator: Communicator) -> Workload:
    """The experiment of cfg/quickstart.yaml with another batch.

    Args:
        folder: the shapes are rendered into it, where they are not there yet, and monitors write there.
        num_images: in an epoch, over all processes.
        batch_size: images per process and step, as published configurations give it.
    """
    keys = {
        "data.root": str(folder / "shapes"),
        "data.dataset.num_train": num_images,
        "data.dataset.num_val": 1,
        "train.batch_size": batch_size,
    }
    config = choice.experiment(choice.Choice(yaml=ROOT / "cfg" / "quickstart.yaml", keys=keys))
    training, validation = batches.open_splits(config.data)
    assembly = assemble(config, training.classes, training.normalization)
    return Workload(config, assembly, batches.load(config, assembly, training, validation, communicator).train_loader, folder)
