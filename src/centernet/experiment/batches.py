"""Both splits of a data set as batches for training and for the validation loss."""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import dataclass, replace

from centernet.data import transforms
from centernet.data.datasets.base import DetectionDataset
from centernet.data.image_cache import ImageCache, open_cache
from centernet.data.loader import Loader
from centernet.data.mixing import check_late
from centernet.data.pipeline import ColorOn, Encode, Pipeline
from centernet.engine.communicator import Communicator
from centernet.errors import ConfigError, DataError
from centernet.experiment.assembly import Assembly, grid_for, open_split
from centernet.experiment.schema import DataConfig, ExperimentConfig, TrainConfig
from centernet.imaging.io import limit_threads
from centernet.structures import Grid

LOG = logging.getLogger(__name__)
MOST_WORKERS = 8  # chosen without being asked for: they fill a batch of 512x512 images faster than one GPU empties it


@dataclass(frozen=True, kw_only=True)
class Data:
    """Both splits, and their batches."""

    training: DetectionDataset
    validation: DetectionDataset
    train_loader: Loader
    validation_loader: Loader
    cache: ImageCache | None = None

    def plan(self, config: ExperimentConfig) -> None:
        """Prepare for as many epochs as training turns out to have; ConfigError where that leaves some augmentation none."""
        _check_late(config)
        self.train_loader.epochs = config.train.epochs
        source = self.train_loader.source
        if isinstance(source, Pipeline) and source.plan(config.train.epochs):
            self.train_loader.close()  # the processes that have begun know another number

    def tell_losses(self, communicator: Communicator) -> None:
        """Say how many images were of no use for training so far, and how many samples lost their objects. Collective."""
        bad = set().union(*communicator.gather(set(self.train_loader.bad_images)))
        num_emptied = sum(communicator.gather(self.train_loader.num_emptied))
        if bad and communicator.rank == 0:
            LOG.warning("%d of %d training images could not be used; others took their places", len(bad), len(self.training))
        if num_emptied and communicator.rank == 0:
            LOG.warning("%d training samples lost all objects to a transform and were kept as empty images", num_emptied)

    def close(self) -> None:
        """End the processes that prepare batches; say what the cache did."""
        self.train_loader.close()
        self.validation_loader.close()
        if self.cache is not None and self.train_loader.rank == 0:
            LOG.info("data.cache: %s", self.cache.usage())


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
    """The samples of one split, as the network and the losses are fed with them; `encode` makes the targets, None: the task.

    Raises:
        ConfigError: the network does not take one of `data.train_sizes`, something is wrong in `data.augment.transforms`, or no
            epoch is left with some augmentation.
    """
    augment = config.data.augment if is_training else None
    grid, *more_grids = _training_grids(config.data, assembly) if is_training else [assembly.grid]
    made = Pipeline(
        dataset,
        grid,
        encode or assembly.task.encode,
        augment=augment,
        transform=transforms.build(augment.transforms) if augment is not None and augment.transforms else None,
        more_grids=more_grids,
        channels=assembly.description.input_channels,
        layout=assembly.network.layout,
        seed=config.train.seed,
        on_bad_image=config.data.on_bad_image,
        color_on=color_on,
    )
    if is_training and config.train.budget is None:  # else the number of epochs is not known yet
        _check_late(config)
        made.plan(config.train.epochs)
    return made


def _check_late(config: ExperimentConfig) -> None:
    augment, num_epochs = config.data.augment, config.train.epochs
    if augment is not None:
        check_late(augment.mosaic, num_epochs, path="data.augment.mosaic")
        check_late(augment.mixup, num_epochs, path="data.augment.mixup")
        check_late(augment.erasing, num_epochs, path="data.augment.erasing")


def _training_grids(data: DataConfig, assembly: Assembly) -> list[Grid]:
    sizes = enumerate(data.train_sizes)
    return [grid_for(assembly.network, size, key=f"data.train_sizes.{number}") for number, size in sizes] or [assembly.grid]


def load(
    config: ExperimentConfig,
    assembly: Assembly,
    training: DetectionDataset,
    validation: DetectionDataset,
    communicator: Communicator,
    *,
    on_gpu: bool = False,
) -> Data:
    """The loaders of this process; ConfigError where the global batch cannot be shared. Collective.

    on_gpu: whether the network is trained on one, where colours are made unless the configuration says otherwise.
    """
    data, seed = config.data, config.train.seed
    if communicator.size > 1:
        limit_threads(1)
    batch = global_batch(config.train, communicator.size)
    automatic: ColorOn = "device" if on_gpu else "host"
    color_on = automatic if data.color_on == "auto" else data.color_on
    num_local = communicator.gather(platform.node()).count(platform.node())
    workers = num_workers(data, num_processes=num_local, on_gpu=on_gpu)

    cache = shared_cache(data, training, validation, communicator, batch=batch)
    if cache is not None:
        training = replace(training, images=cache.images())
        validation = replace(validation, images=cache.images(first=len(training)))

    def loader(dataset: DetectionDataset, *, is_training: bool) -> Loader:
        where: ColorOn = color_on if is_training else "host"
        return Loader(
            pipeline(config, assembly, dataset, is_training=is_training, color_on=where),
            global_batch=batch if is_training else batch // config.train.accumulate,
            rank=communicator.rank,
            size=communicator.size,
            num_local=num_local,
            seed=seed,
            shuffle=is_training,
            fill_last=is_training,  # no held-out image is counted twice
            workers=workers,
            prefetch=data.prefetch,
            epochs=config.train.epochs if is_training else None,
            start_method=data.start_method,
            sample_seconds=data.sample_seconds,
            on_bad=data.on_bad_image,
        )

    return Data(
        training=training,
        validation=validation,
        train_loader=loader(training, is_training=True),
        validation_loader=loader(validation, is_training=False),
        cache=cache,
    )


def shared_cache(
    data: DataConfig, training: DetectionDataset, validation: DetectionDataset, communicator: Communicator, *, batch: int
) -> ImageCache | None:
    """One cache of both splits' images for all processes of this machine, or None. Collective.

    Args:
        batch: images in one step over all processes; this machine's share of them must fit.

    Raises:
        ConfigError: the budget is too small or too large, or the processes cannot share.
        OutputError: the folder cannot be written to.
    """
    if data.cache.kind == "none":
        return None
    machine = platform.node()
    share = -(-batch * communicator.gather(machine).count(machine) // communicator.size)
    paths = [training.image_path(index) for index in range(min(share, len(training)))]
    own: ImageCache | None = None
    if communicator.local_rank == 0:
        own = open_cache(data.cache, len(training) + len(validation), batch=paths, sample_seconds=data.sample_seconds)
    handles = dict(found for found in communicator.gather((machine, own.handle()) if own is not None else None) if found)
    return own if own is not None else ImageCache.attach(handles[machine])


def num_workers(data: DataConfig, *, num_processes: int, on_gpu: bool) -> int:
    """How many worker processes each training process starts: those asked for, else what keeps the network fed.

    Args:
        num_processes: that train on this machine.
        on_gpu: whether they train on GPUs. NNabla takes so long for an image on a CPU that one worker is plenty.
    """
    cores, there = len(os.sched_getaffinity(0)), os.cpu_count() or 1
    chosen = max(1, min(MOST_WORKERS, there // num_processes)) if on_gpu else 1
    workers = chosen if data.workers is None else data.workers
    if workers > cores and cores < there:
        LOG.warning(
            "%d workers share %d of the machine's %d cores with their process; `mpirun --bind-to none` frees them", workers, cores, there
        )
    return workers


def global_batch(config: TrainConfig, num_processes: int) -> int:
    """Images in one step over all processes; ConfigError where processes, or their parts of it, cannot share it evenly."""
    num_parts = num_processes * config.accumulate
    if config.batch_size is not None:
        return config.batch_size * num_parts
    assert config.global_batch_size is not None
    if config.global_batch_size % num_parts:
        each = f" in {config.accumulate} parts each (train.accumulate)" if config.accumulate > 1 else ""
        raise ConfigError(
            f"train.global_batch_size: {config.global_batch_size} cannot be shared by {num_processes} processes{each}; "
            f"expected a multiple of {num_parts}, or another number of processes"
        )
    return config.global_batch_size
