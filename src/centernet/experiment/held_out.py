"""What training measures on held-out images: the losses, and the metrics of the network as it is then."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tqdm import tqdm

from centernet.engine.communicator import Communicator
from centernet.engine.evaluation import awaited, mean_losses
from centernet.engine.step import ValidationStep
from centernet.experiment import evaluate, report
from centernet.experiment.assembly import Assembly
from centernet.experiment.batches import Data
from centernet.experiment.detector import detector, options_of
from centernet.experiment.inference_graph import Machine
from centernet.experiment.schema import ExperimentConfig


def validation_losses(assembly: Assembly, data: Data, communicator: Communicator) -> Callable[[], dict[str, float]]:
    """A function that measures the mean losses of the validation split; collective."""
    step = ValidationStep(
        lambda inputs: assembly.losses(inputs, training=False),
        loss_weights=assembly.task.loss_weights,
        communicator=communicator,
        counts=assembly.task.counts,
    )

    def measure() -> dict[str, float]:
        with data.validation_loader as loader:  # its workers would only take memory until the next time
            parts = awaited(loader.epoch(0), communicator, seconds=loader.sample_seconds)
            return mean_losses((step.run(part.arrays), round(communicator.sum([len(part.names)])[0])) for part in parts)

    return measure


def metrics(
    config: ExperimentConfig, assembly: Assembly, data: Data, communicator: Communicator, machine: Machine, *, is_told: bool = True
) -> Callable[[int], dict[str, float]]:
    """A function of the epoch that measures the validation split's metrics, `AP` among them; collective.

    Args:
        machine: what runs the network. is_told: whether rank 0 says with which protocol.
    """
    options = options_of(config.test)

    def measure(epoch: int) -> dict[str, float]:
        metric = evaluate.metric_for(assembly.task, data.validation, config.data)
        current = detector(assembly, machine, options)
        found = evaluate.evaluate(
            current,
            data.validation,
            metric,
            communicator,
            on_bad_image=config.data.on_bad_image,
            sample_seconds=config.data.sample_seconds,
        )
        if is_told and communicator.rank == 0:
            protocol = report.protocol_text(current, metric=evaluate.protocol_of(config.data), num_images=len(data.validation))
            tqdm.write(f"epoch {epoch + 1}/{config.train.epochs}: AP with {report.protocol_line(protocol)}", file=sys.stderr)
        return {name: value for name, value in found.items() if isinstance(value, float)}

    return measure
