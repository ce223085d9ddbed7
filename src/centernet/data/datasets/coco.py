"""COCO-format data: one JSON file and one folder of images per split; any classes, any category ids."""

from __future__ import annotations

from pathlib import Path

from pydantic.dataclasses import dataclass

from centernet.data.coco_json import read_coco_json
from centernet.data.datasets.base import (
    COCO_MEAN,
    COCO_STD,
    Channels,
    ClassNames,
    DetectionDataset,
    JsonSplit,
    PositiveChannels,
    Split,
    assemble,
    data_folder,
)
from centernet.errors import STRICT
from centernet.structures import Normalization


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """Where the files are, relative to the data folder; the defaults are COCO 2017's own layout and numbers."""

    train: JsonSplit = JsonSplit(images="train2017", annotations="annotations/instances_train2017.json")
    val: JsonSplit = JsonSplit(images="val2017", annotations="annotations/instances_val2017.json")
    classes: ClassNames | None = None  # None: all the file declares, by ascending category id
    keep_crowd: bool = True  # crowd regions are trained on as single objects, as published models were
    mean: Channels = COCO_MEAN
    std: PositiveChannels = COCO_STD


def open_split(config: Config, root: Path, split: Split) -> DetectionDataset:
    """Open one split below the data folder `root`.

    Raises:
        DataError: the folder, the annotation file or the image folder is missing, or the annotations are not usable.
    """
    section = config.train if split == "train" else config.val
    table = read_coco_json(data_folder(root) / section.annotations)
    return assemble(
        table,
        split=split,
        classes=config.classes,
        image_folder=root / section.images,
        normalization=Normalization(config.mean, config.std),
        keep_crowd=config.keep_crowd,
    )
