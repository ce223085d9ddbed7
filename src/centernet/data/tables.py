"""What an annotation file says, as flat arrays: the form that readers make, the cache stores and data sets select from."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from centernet.errors import DataError, did_you_mean
from centernet.structures import Annotations, Array, ClassTable

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AnnotationTable:
    """One annotation file (or folder of them): N images, M objects sorted by image, C categories.

    source: what to call it in messages. image_ids: (N,) int64. image_sizes: (N, 2) int32 (height, width), 0 where unknown.
    file_names: N paths relative to the image folder. image_index: (M,) int32, non-decreasing. boxes: (M, 4) float64 xyxy
    pixels as annotated. category_of: (M,) int32, a position in the category arrays. areas: (M,) float64 px².
    is_crowd, is_difficult: (M,) bool. category_ids: (C,) int64, ascending. category_names: C names.
    notes: what a user should hear each time the file is opened, one line each.
    """

    source: str
    image_ids: Array
    image_sizes: Array
    file_names: Sequence[str]
    image_index: Array
    boxes: Array
    category_of: Array
    areas: Array
    is_crowd: Array
    is_difficult: Array
    category_ids: Array
    category_names: Sequence[str]
    notes: Sequence[str] = ()

    def to_arrays(self) -> dict[str, Array]:
        """Plain numeric arrays that `numpy.savez` stores without pickle."""
        arrays = {name: getattr(self, name) for name in _NUMERIC}
        return arrays | {name: _pack(getattr(self, name)) for name in _TEXT}

    @staticmethod
    def from_arrays(source: str, arrays: Mapping[str, Array]) -> AnnotationTable:
        """The inverse of `to_arrays`; KeyError if an array is missing."""
        file_names, category_names, notes = (_unpack(arrays[name]) for name in _TEXT)
        numeric = {name: arrays[name] for name in _NUMERIC}
        return AnnotationTable(source=source, file_names=file_names, category_names=category_names, notes=notes, **numeric)

    def select(self, classes: Sequence[str] | None) -> tuple[Annotations, ClassTable]:
        """Number the classes and keep the objects that belong to them.

        Args:
            classes: names in the order of their class ids; None takes all categories, by ascending category id.

        Returns:
            The annotations, with `class_ids` counting from 0, and the table of classes.

        Raises:
            DataError: no image, no category, or a name in `classes` that the file does not declare.
        """
        self._check_not_empty()
        names = list(self.category_names)
        wanted = names if classes is None else list(classes)
        for name in wanted:
            if name not in names:
                raise DataError(f"{self.source}: class '{name}' is not among its categories{did_you_mean(name, names)}")
        table = ClassTable(tuple(wanted), tuple(int(self.category_ids[names.index(name)]) for name in wanted))
        class_of = np.full(len(names), -1, np.int32)
        class_of[[names.index(name) for name in wanted]] = np.arange(len(wanted), dtype=np.int32)
        class_ids = class_of[self.category_of]
        keep: Array | slice = slice(None)
        if (class_ids < 0).any():
            keep = class_ids >= 0
            LOG.info("%s: %d of %d objects are of other classes than those asked for", self.source, (class_ids < 0).sum(), len(class_ids))
        for note in self.notes:
            LOG.warning("%s: %s", self.source, note)
        chosen = {name: getattr(self, name)[keep] for name in ("image_index", "boxes", "areas", "is_crowd", "is_difficult")}
        return Annotations(
            image_ids=self.image_ids, image_sizes=self.image_sizes, file_names=self.file_names, class_ids=class_ids[keep], **chosen
        ), table

    def _check_not_empty(self) -> None:
        if not len(self.image_ids):
            raise DataError(f"{self.source}: the data set is empty: it lists no image")
        if not len(self.category_ids):
            raise DataError(f"{self.source}: no category is declared, so there is nothing to detect")


_NUMERIC = (
    "image_ids", "image_sizes", "image_index", "boxes", "category_of", "areas", "is_crowd", "is_difficult", "category_ids",
)  # fmt: skip
_TEXT = ("file_names", "category_names", "notes")


def _pack(texts: Sequence[str]) -> Array:
    """One array of UTF-8 bytes: a fixed-width string array would be as wide as the longest name."""
    return np.frombuffer("".join(f"{text}\0" for text in texts).encode(), np.uint8)


def _unpack(packed: Array) -> list[str]:
    return packed.tobytes().decode().split("\0")[:-1]
