"""Pascal VOC and data in its form: devkit folders with XML, or the predecessor's COCO-style JSON of the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet.data.coco_json import read_coco_json
from centernet.data.datasets.base import (
    Channels,
    ClassNames,
    DetectionDataset,
    PositiveChannels,
    Split,
    assemble,
    data_folder,
)
from centernet.data.tables import AnnotationTable
from centernet.data.voc_xml import ImageSet, read_voc, with_classes
from centernet.errors import STRICT, DataError
from centernet.structures import Normalization


@dataclass(frozen=True, kw_only=True, config=STRICT)
class VocSplit:
    """One split, in one of two forms; all paths are relative to the data folder.

    JSON: `annotations` is a COCO-format file, `images` the folder of its images.
    Devkit: `folders[i]` is a devkit folder that contributes the list `ImageSets/Main/<image_sets[i]>.txt`.
    """

    images: str | None = None
    annotations: str | None = None
    folders: Annotated[tuple[str, ...], Field(min_length=1)] = (".",)  # ".": the data folder itself is the devkit
    image_sets: Annotated[tuple[str, ...], Field(min_length=1)] | None = None

    def __post_init__(self) -> None:
        has_json = self.images is not None, self.annotations is not None
        if has_json not in ((True, True), (False, False)) or has_json[0] == (self.image_sets is not None):
            raise ValueError("give either 'images' and 'annotations' (a COCO-format file), or 'image_sets' (of devkit folders)")
        if self.image_sets is not None and len(self.folders) != len(self.image_sets):
            raise ValueError(f"{len(self.folders)} folders but {len(self.image_sets)} image_sets; give one image set for each folder")

    @property
    def is_devkit(self) -> bool:
        return self.image_sets is not None

    def read(self, root: Path) -> AnnotationTable:
        """Everything the split says; DataError as its reader."""
        if self.image_sets is None:
            return read_coco_json(root / str(self.annotations))
        return read_voc(root, [ImageSet(*pair) for pair in zip(self.folders, self.image_sets, strict=True)])


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """Where the files are, relative to the data folder; the defaults are the predecessor's layout of VOC 2007+2012.

    The default mean and std are those of RGB although they are applied to BGR: published weights were trained so.
    """

    train: VocSplit = VocSplit(images="images", annotations="annotations/pascal_trainval0712.json")
    val: VocSplit = VocSplit(images="images", annotations="annotations/pascal_test2007.json")
    classes: ClassNames | None = None  # None: from the data; JSON by category id, XML by name over both splits
    keep_difficult: bool = True  # objects marked difficult are trained on, as published models were
    mean: Channels = (0.485, 0.456, 0.406)
    std: PositiveChannels = (0.229, 0.224, 0.225)


def open_split(config: Config, root: Path, split: Split) -> DetectionDataset:
    """Open one split below the data folder `root`.

    XML declares no classes, so without `classes` both splits are read and share the names that occur in either.

    Raises:
        DataError: a folder, list or annotation file is missing, or the annotations are not usable.
    """
    root = data_folder(root)
    section = config.train if split == "train" else config.val
    table = section.read(root)
    if section.is_devkit:
        table = with_classes(table, config.classes or _class_names(config, root))
    return assemble(
        table,
        split=split,
        classes=config.classes,
        image_folder=root / (section.images or ""),
        normalization=Normalization(config.mean, config.std),
        keep_difficult=config.keep_difficult,
        has_inclusive_boxes=section.is_devkit,
    )


def _class_names(config: Config, root: Path) -> set[str]:
    names: set[str] = set()
    for section in (config.train, config.val):
        try:
            names.update(section.read(root).category_names)
        except DataError as error:
            raise DataError(f"{error}; without 'classes' in the configuration both splits are read for the names of the classes") from error
    return names
