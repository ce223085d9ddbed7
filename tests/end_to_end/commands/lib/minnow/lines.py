"""A data set: `SPLIT.txt` with a line `IMAGE CLASS x1 y1 x2 y2` for each object, and the images beside it; a class, not a module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic

from centernet.data.datasets.base import COCO_MEAN, COCO_STD, Channels, DetectionDataset, PositiveChannels, Split, assemble
from centernet.data.tables import AnnotationTable
from centernet.errors import STRICT, DataError
from centernet.structures import Normalization


class Lines:
    """The plug-in."""

    @pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=STRICT)
    class Config:
        suffix: str = ".txt"
        mean: Channels = COCO_MEAN
        std: PositiveChannels = COCO_STD

    @staticmethod
    def open_split(config: Config, root: Path, split: Split) -> DetectionDataset:
        """Read the split's text file."""
        path = root / f"{split}{config.suffix}"
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        rows = [line.split() for line in path.read_text().splitlines()]
        files, classes = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
        rows.sort(key=lambda row: files.index(row[0]))
        boxes = np.array([row[2:] for row in rows], np.float64)
        table = AnnotationTable(
            source=str(path),
            image_ids=np.arange(len(files), dtype=np.int64),
            image_sizes=np.zeros((len(files), 2), np.int32),
            file_names=files,
            image_index=np.array([files.index(row[0]) for row in rows], np.int32),
            boxes=boxes,
            category_of=np.array([classes.index(row[1]) for row in rows], np.int32),
            areas=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1),
            is_crowd=np.zeros(len(rows), bool),
            is_difficult=np.zeros(len(rows), bool),
            category_ids=np.arange(len(classes), dtype=np.int64),
            category_names=classes,
        )
        return assemble(table, split=split, classes=None, image_folder=root, normalization=Normalization(config.mean, config.std))
