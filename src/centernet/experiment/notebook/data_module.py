"""The data of an experiment, as its training is fed with it: `DataModule`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from centernet.data.datasets.base import DetectionDataset
from centernet.data.loader import Loader
from centernet.experiment import show
from centernet.experiment.assembly import assemble
from centernet.experiment.batches import Data, load, open_splits
from centernet.experiment.notebook.reading import Settings, Source, read
from centernet.experiment.notebook.trainer import check_is_main
from centernet.experiment.processes import join
from centernet.structures import ClassTable


class DataModule:
    """Both splits and their batches; nothing is opened before it is asked for. Use it in a `with`, or `close` it."""

    def __init__(self, config: Source, *, data_dir: str | Path | None = None, settings: Settings | None = None) -> None:
        """Arguments: see `reading.read`."""
        self.config = read(config, data_dir=data_dir, settings=settings)

    @property
    def train_dataset(self) -> DetectionDataset:
        """`dataset.sample(i)` is image i as annotated: uint8 (H, W, 3) BGR, boxes (n, 4) xyxy in pixels, class_ids (n,)."""
        return self._splits[0]

    @property
    def val_dataset(self) -> DetectionDataset:
        """As `train_dataset`."""
        return self._splits[1]

    @property
    def classes(self) -> ClassTable:
        return self.train_dataset.classes

    def train_loader(self) -> Loader:
        """`loader.epoch(n)` gives the batches of epoch n: `batch.names`, and `batch.arrays` by name.

        image: (B, C, H, W) float32, augmented and normalised; with `data.color_on: device` (B, H, W, 3) uint8 and a matrix
        `color` for each. The others are the task's targets; for ctdet heatmap (B, classes, h, w) in [0, 1], and for up to m
        objects indices (B, m), size and offset (B, m, 2) in cells, mask (B, m). Arrays are overwritten by the next batch.
        """
        check_is_main()
        return self._data.train_loader

    def val_loader(self) -> Loader:
        """The validation split in order, not augmented; see `train_loader`."""
        check_is_main()
        return self._data.validation_loader

    def show(self, folder: str | Path, *, num_samples: int = 12, epoch: int = 0) -> show.Shown:
        """Draw what `centernet data show` draws; `files` of the result are the pictures."""
        return show.show(self.config, Path(folder), num_samples=num_samples, epoch=epoch)

    def close(self) -> None:
        """End the processes that prepare batches."""
        if "_data" in vars(self):
            self._data.close()

    def __enter__(self) -> DataModule:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _splits(self) -> tuple[DetectionDataset, DetectionDataset]:
        return open_splits(self.config.data)

    @cached_property
    def _data(self) -> Data:
        training, validation = self._splits
        assembly = assemble(self.config, training.classes, training.normalization)
        return load(self.config, assembly, training, validation, join().communicator)
