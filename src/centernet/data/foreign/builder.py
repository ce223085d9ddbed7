"""Collect images and objects, as any format has them, into an `AnnotationTable`."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import numpy as np

from centernet.data.tables import AnnotationTable
from centernet.errors import DataError
from centernet.geometry import boxes as box_geometry

MOST_TOLD = 5  # mistakes in an error


class TableBuilder:
    """Images and objects as they come; `source`: what to call it all in messages."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.notes: list[str] = []
        self._names: dict[str, int] = {}
        self._sizes: list[tuple[int, int]] = []
        self._index, self._boxes, self._categories = array("i"), array("d"), array("i")
        self._crowd, self._difficult = array("b"), array("b")
        self._category_names: dict[str, int] = {}
        self._mistakes: list[str] = []

    def declare(self, categories: Sequence[str]) -> None:
        """Categories in the order of their ids, whether or not they have objects."""
        for name in categories:
            self._category_names.setdefault(name, len(self._category_names))

    def image(self, file_name: str, size: tuple[int, int] = (0, 0)) -> int:
        """The number of an image, which is added where it is new; `size`: (height, width), 0 where unknown."""
        number = self._names.setdefault(file_name, len(self._names))
        if number == len(self._sizes):
            self._sizes.append(size)
        return number

    def file_names(self) -> list[str]:
        """Of the images so far, by their numbers."""
        return list(self._names)

    def object(self, image: int, category: str, box: Sequence[float], *, is_crowd: bool = False, is_difficult: bool = False) -> None:
        """An object of an image; `box`: xyxy in its pixels."""
        if not all(map(math.isfinite, box)):
            self.mistake(f"{self.file_names()[image]}: '{category}': the box is not finite: {list(box)}")
            return
        self._category_names.setdefault(category, len(self._category_names))
        self._index.append(image)
        self._boxes.extend(box)
        self._categories.append(self._category_names[category])
        self._crowd.append(is_crowd)
        self._difficult.append(is_difficult)

    def mistake(self, text: str) -> None:
        """Something that cannot be read; `table` raises with the first of them."""
        self._mistakes.append(text)

    def table(self) -> AnnotationTable:
        """What was collected; DataError where there were mistakes."""
        if self._mistakes:
            more = len(self._mistakes) - MOST_TOLD
            raise DataError("\n".join([*self._mistakes[:MOST_TOLD], *([f"... and {more} more like these"] if more > 0 else [])]))
        order = np.argsort(np.frombuffer(self._index, np.int32), kind="stable")
        boxes = np.frombuffer(self._boxes, np.float64).reshape(-1, 4)[order]
        return AnnotationTable(
            source=self.source,
            image_ids=np.arange(1, len(self._names) + 1, dtype=np.int64),
            image_sizes=np.array(self._sizes, np.int32).reshape(-1, 2),
            file_names=list(self._names),
            image_index=np.frombuffer(self._index, np.int32)[order],
            boxes=boxes,
            category_of=np.frombuffer(self._categories, np.int32)[order],
            areas=box_geometry.area(boxes),
            is_crowd=np.frombuffer(self._crowd, np.bool_)[order],
            is_difficult=np.frombuffer(self._difficult, np.bool_)[order],
            category_ids=np.arange(1, len(self._category_names) + 1, dtype=np.int64),
            category_names=list(self._category_names),
            notes=self.notes,
        )
