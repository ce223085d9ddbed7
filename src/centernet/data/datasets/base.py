"""What a data set is to the rest of the project: annotations, classes and a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as config_dataclass

from centernet.data.images import ImageFiles, Images, Picture
from centernet.data.tables import AnnotationTable
from centernet.errors import STRICT, DataError
from centernet.structures import Annotations, Array, ClassTable, Normalization, Sample

Split = Literal["train", "val"]
Channels = tuple[float, float, float]
PositiveChannels = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
ClassNames = Annotated[tuple[str, ...], Field(min_length=1)]

COCO_MEAN, COCO_STD = (0.40789654, 0.44719302, 0.47026115), (0.28863828, 0.27408164, 0.27809835)


@config_dataclass(frozen=True, kw_only=True, config=STRICT)
class JsonSplit:
    """One split as a folder of images and a COCO-format file, both relative to the data folder."""

    images: str
    annotations: str


@dataclass(frozen=True, kw_only=True)
class DetectionDataset:
    """One split, opened: image `i` and its objects, as annotated.

    normalization: what networks for this data set are fed with by default, applied to BGR.
    keep_crowd, keep_difficult: whether such objects are part of a sample; they are always part of `annotations`.
    has_inclusive_boxes: x2 and y2 are the last pixels inside the box, as in VOC's XML, which matters to VOC's metric.
    images: where pixels come from. notes: what the reader of the annotations found worth saying, a line each.
    """

    annotations: Annotations
    classes: ClassTable
    image_folder: Path
    normalization: Normalization
    keep_crowd: bool = True
    keep_difficult: bool = True
    has_inclusive_boxes: bool = False
    images: Images = field(default_factory=ImageFiles)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.annotations)

    def image_path(self, index: int) -> Path:
        """Where image `index` is; whether it exists is found out by reading it."""
        return self.image_folder / self.annotations.file_names[index]

    def objects(self, index: int) -> tuple[Array, Array]:
        """Boxes (n, 4) xyxy in pixels of the image, as annotated and unclipped, and class ids (n,)."""
        rows = self.annotations.of_image(index)
        boxes, class_ids = self.annotations.boxes[rows], self.annotations.class_ids[rows]
        dropped = self.annotations.is_crowd[rows] & (not self.keep_crowd) | self.annotations.is_difficult[rows] & (not self.keep_difficult)
        return (boxes[~dropped], class_ids[~dropped]) if dropped.any() else (boxes, class_ids)

    def name(self, index: int) -> str:
        """What to call image `index` in messages: its path."""
        return str(self.image_path(index))

    def picture(self, index: int) -> Picture:
        """Image `index`, not decoded yet; DataError naming the file if it cannot be read."""
        return self.images.picture(index, self.image_path(index))

    def sample(self, index: int) -> Sample:
        """Image `index`, upright, and its objects; DataError naming the file if the image cannot be read."""
        boxes, class_ids = self.objects(index)
        return Sample(image=self.picture(index).decode(), boxes=boxes, class_ids=class_ids, name=self.name(index))


def assemble(
    table: AnnotationTable,
    *,
    split: Split,
    classes: Sequence[str] | None,
    image_folder: Path,
    normalization: Normalization,
    keep_crowd: bool = True,
    keep_difficult: bool = True,
    has_inclusive_boxes: bool = False,
) -> DetectionDataset:
    """The data set of an annotation table and a folder of images.

    Raises:
        DataError: the folder is not there, the table is empty, a class is not declared, or a split to train on has no object.
    """
    annotations, class_table = table.select(classes)
    if not image_folder.is_dir():
        raise DataError(f"{image_folder}: the image folder of {table.source} does not exist")
    if split == "train" and not len(annotations.class_ids):
        raise DataError(f"{table.source}: none of its {len(annotations)} images has an object, so there is nothing to learn")
    return DetectionDataset(
        annotations=annotations,
        classes=class_table,
        image_folder=image_folder,
        normalization=normalization,
        keep_crowd=keep_crowd,
        keep_difficult=keep_difficult,
        has_inclusive_boxes=has_inclusive_boxes,
        notes=tuple(table.notes),
    )


def data_folder(root: Path) -> Path:
    """`root` itself; DataError with the cure if it is not a folder."""
    if not root.is_dir():
        raise DataError(f"{root}: the data folder does not exist; give the folder that holds the data set with --data_dir")
    return root
