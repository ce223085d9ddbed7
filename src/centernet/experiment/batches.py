"""Both splits of a data set as batches for training and for the validation loss."""

from __future__ import annotations

from dataclasses import dataclass

from centernet.data.datasets.base import DetectionDataset
from centernet.data.loader import Loader
from centernet.data.pipeline import ColorOn, Encode, Pipeline
from centernet.engine.communicator import Communicator
from centernet.errors import ConfigError, DataError
from centernet.experiment.assembly import Assembly, open_split
from centernet.experiment.schema import DataConfig, ExperimentConfig, TrainConfig
from centernet.imaging.io import limit_threads


@dataclass(frozen=True, kw_only=True)
class Data:
    """Both splits, and their batches."""

    training: DetectionDataset
    validation: DetectionDataset
    train_loader: Loader
    validation_loader: Loader


def open_splits(data: DataConfig) -> tuple[DetectionDataset, DetectionDataset]:
    """The training and the validation split; DataError where their classes differ."""
    training, validation = open_split(data, "train"), open_split(data, "val")
    if training.classes != validation.classes:
        raise DataError(
            f"{data.root}: the training split has classes {', '.join(training.classes.names)}, "
            f"the validation split {', '.join(validation.classes.names)}; list them in data.dataset.classes"
        )
    return training, validation


def pipeline(
    config: ExperimentConfig,
    assembly: Assembly,
    dataset: DetectionDataset,
    *,
    is_training: bool,
    color_on: ColorOn = "host",
    encode: Encode | None = None,
) -> Pipeline:
    """The samples of one split, as the network and the losses are fed with them; `encode` makes the targets, None: the task."""
    return Pipeline(
        dataset,
        assembly.grid,
        encode or assembly.task.encode,
        augment=config.data.augment if is_training else None,
        channels=assembly.description.input_channels,
        layout=assembly.network.layout,
        seed=config.train.seed,
        on_bad_image=config.data.on_bad_image,
        color_on=color_on,
    )


def load(
    config: ExperimentConfig,
    assembly: Assembly,
    training: DetectionDataset,
    validation: DetectionDataset,
    communicator: Communicator,
    *,
    on_gpu: bool = False,
) -> Data:
    """The loaders of this process; ConfigError where the global batch cannot be shared.

    on_gpu: whether the network is trained on one, where colours are made unless the configuration says otherwise.
    """
    data, seed = config.data, config.train.seed
    if communicator.size > 1:
        limit_threads(1)
    batch = global_batch(config.train, communicator.size)
    automatic: ColorOn = "device" if on_gpu else "host"
    color_on = automatic if data.color_on == "auto" else data.color_on

    def loader(dataset: DetectionDataset, *, is_training: bool) -> Loader:
        where: ColorOn = color_on if is_training else "host"
        return Loader(
            pipeline(config, assembly, dataset, is_training=is_training, color_on=where),
            global_batch=batch,
            rank=communicator.rank,
            size=communicator.size,
            seed=seed,
            shuffle=is_training,
            fill_last=is_training,  # no held-out image is counted twice
            workers=data.workers,
            prefetch=data.prefetch,
        )

    return Data(
        training=training,
        validation=validation,
        train_loader=loader(training, is_training=True),
        validation_loader=loader(validation, is_training=False),
    )


def global_batch(config: TrainConfig, num_processes: int) -> int:
    """Images in one step over all processes; ConfigError where processes cannot share it evenly."""
    if config.batch_size is not None:
        return config.batch_size * num_processes
    assert config.global_batch_size is not None
    if config.global_batch_size % num_processes:
        raise ConfigError(
            f"train.global_batch_size: {config.global_batch_size} cannot be shared by {num_processes} processes; "
            f"expected a multiple of {num_processes}, or another number of processes"
        )
    return config.global_batch_size
