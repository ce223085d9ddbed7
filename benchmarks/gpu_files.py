"""Training from files, as `centernet train` has it but for what it writes: what both GPU programs train with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import perf_counter

import nnabla as nn

from centernet.data.datasets.base import DetectionDataset
from centernet.engine.communicator import Single
from centernet.engine.context import Device
from centernet.engine.precision import LossScaler
from centernet.engine.schedule import learning_rate
from centernet.engine.solver import Solver
from centernet.engine.step import StepReport, TrainStep
from centernet.engine.trainer import Trainer
from centernet.experiment import batches
from centernet.experiment.assembly import Assembly, assemble
from centernet.experiment.schema import ExperimentConfig


class Watch:
    """A monitor that counts: all steps, skipped ones, those of the others whose loss is not finite; and once the first are over,
    images, seconds and seconds of waiting for data.

    Args:
        warm_up: the first steps, whose time does not count.
    """

    def __init__(self, *, warm_up: int = 0) -> None:
        self._left = warm_up
        self.steps = self.skipped = self.bad = self.images = 0
        self.waited = 0.0
        self._began = self._ended = perf_counter()

    @property
    def seconds(self) -> float:
        """From the end of the warm-up to that of the last step."""
        return self._ended - self._began

    def stepped(self, progress: object, report: StepReport, *, num_images: int, wait: float, **_: object) -> None:
        self.steps += 1
        self.skipped += report.is_skipped
        self.bad += not report.is_skipped and not math.isfinite(report.total)
        self._ended = perf_counter()
        if self._left:
            self._left -= 1
            self._began = self._ended
            return
        self.images += num_images
        self.waited += wait

    def started(self, *_: object, **__: object) -> None:
        """Nothing to count, and so do the others below."""

    epoch_ended = validated = ended = started


@contextmanager
def trained(
    config: ExperimentConfig, splits: tuple[DetectionDataset, DetectionDataset], *, device: Device, watch: Watch
) -> Iterator[tuple[Assembly, batches.Data]]:
    """Train to the end; inside the block are the network, as it is then, and the loaders, in the device's context."""
    training, validation = splits
    assembly = assemble(config, training.classes, training.normalization)
    data = batches.load(config, assembly, training, validation, Single(), on_gpu=device.is_gpu)
    schedule, epochs, length = config.train.schedule, config.train.epochs, data.train_loader.batches_per_epoch
    with nn.context_scope(device.context), assembly.network.parameter_scope(), closing(data):
        step = TrainStep(
            lambda inputs: assembly.losses(inputs, training=True),
            loss_weights=assembly.task.loss_weights,
            solver=Solver(config.train.solver),
            scaler=LossScaler(config.train.precision.loss_scaling),
            communicator=Single(),
            counts=assembly.task.counts,
            parameters=assembly.network.parameters(),
        )
        Trainer(
            step=step,
            loader=data.train_loader,
            learning_rate=lambda epoch, batch: learning_rate(
                schedule, epoch=epoch, batch=batch, batches_per_epoch=length, num_epochs=epochs
            ),
            num_epochs=epochs,
            communicator=Single(),
            monitors=[watch],
        ).fit()
        yield assembly, data
