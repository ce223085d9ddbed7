"""The values that cross the borders of the package: samples, annotations, grids, classes and detections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from centernet.errors import DataError, did_you_mean

Array = npt.NDArray[Any]


def _shaped(name: str, array: Array, shape: tuple[int | None, ...], dtype: npt.DTypeLike) -> Array:
    array = np.asarray(array, dtype)
    if array.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name} has shape {array.shape}, expected {tuple('n' if s is None else s for s in shape)}")
    return array


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set: `names[i]` is class id i; `category_ids[i]` is what the annotation file calls it."""

    names: tuple[str, ...]
    category_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.category_ids:
            object.__setattr__(self, "category_ids", tuple(range(len(self.names))))
        if len(self.names) != len(self.category_ids):
            raise ValueError(f"{len(self.names)} class names but {len(self.category_ids)} category ids")
        if len(set(self.names)) != len(self.names):
            raise DataError(f"class names repeat: {sorted(n for n in set(self.names) if self.names.count(n) > 1)}")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """The class id of a name; DataError if there is none."""
        if name not in self.names:
            raise DataError(f"class '{name}' is not in the table{did_you_mean(name, self.names)}")
        return self.names.index(name)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image and its objects, at any stage between the file and the network.

    image: (H, W, 3) uint8, BGR. boxes: (n, 4) float32 xyxy in pixels of that image, continuous coordinates.
    class_ids: (n,) int64. name: what to call it in messages, usually the file's path.
    """

    image: Array
    boxes: Array
    class_ids: Array
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", _shaped("boxes", self.boxes, (None, 4), np.float32))
        object.__setattr__(self, "class_ids", _shaped("class_ids", self.class_ids, (len(self.boxes),), np.int64))


@dataclass(frozen=True)
class Grid:
    """The network's input size in pixels and its stride: input pixels per heatmap cell.

    A side is a multiple of the stride or one pixel less, as 511: the last cell then lacks a pixel.
    """

    height: int
    width: int
    stride: int = 4

    def __post_init__(self) -> None:
        if -self.height % self.stride > 1 or -self.width % self.stride > 1:
            raise ValueError(f"input size {self.height}x{self.width} is not a multiple of the stride {self.stride}, nor one less")

    @property
    def cells(self) -> tuple[int, int]:
        """(rows, columns) of the heatmap."""
        return -(-self.height // self.stride), -(-self.width // self.stride)

    def of_cells(self, rows: int, columns: int) -> Grid:
        """The grid of maps of another size; its sides lack a pixel where this one's do."""
        height, width = (cells * self.stride - -side % self.stride for cells, side in ((rows, self.height), (columns, self.width)))
        return Grid(height, width, self.stride)

    @property
    def num_cells(self) -> int:
        """Cells of a heatmap; more objects than those cannot be told apart."""
        rows, columns = self.cells
        return rows * columns


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """All ground truth of a data set as flat arrays: N images, M objects sorted by image.

    image_ids: (N,) int64, as the file has them. image_sizes: (N, 2) int32 (height, width), 0 where the file is silent.
    file_names: N relative paths. image_index: (M,) int32, non-decreasing: which image an object is in.
    boxes: (M, 4) float64 xyxy pixels exactly as annotated, unclipped. class_ids: (M,) int32. areas: (M,) float64 px².
    is_crowd, is_difficult: (M,) bool.
    """

    image_ids: Array
    image_sizes: Array
    file_names: Sequence[str]
    image_index: Array
    boxes: Array
    class_ids: Array
    areas: Array
    is_crowd: Array
    is_difficult: Array
    _starts: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.image_index) and (np.diff(self.image_index) < 0).any():
            raise ValueError("objects are not sorted by image")
        object.__setattr__(self, "_starts", np.searchsorted(self.image_index, np.arange(len(self.image_ids) + 1)))

    def __len__(self) -> int:
        return len(self.image_ids)

    def of_image(self, index: int) -> slice:
        """The objects of image `index`, as a slice into the M-arrays."""
        return slice(int(self._starts[index]), int(self._starts[index + 1]))


@dataclass(frozen=True)
class Detections:
    """What was found in one image, best first.

    boxes: (n, 4) float32 xyxy in pixels of the image the detector was given. scores: (n,) float32 in [0, 1].
    class_ids: (n,) int64. class_names: the whole table where it is known, so that `for d in detections` can say names.
    corner_scores: (n, 2) float32, how far each box's top left and its bottom right corner can be trusted, where that is known.
    """

    boxes: Array
    scores: Array
    class_ids: Array
    class_names: tuple[str, ...] = ()
    corner_scores: Array | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", _shaped("boxes", self.boxes, (None, 4), np.float32))
        object.__setattr__(self, "scores", _shaped("scores", self.scores, (len(self.boxes),), np.float32))
        object.__setattr__(self, "class_ids", _shaped("class_ids", self.class_ids, (len(self.boxes),), np.int64))
        if self.corner_scores is not None:
            object.__setattr__(self, "corner_scores", _shaped("corner_scores", self.corner_scores, (len(self.boxes), 2), np.float32))

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[Detection]:
        for box, score, class_id in zip(self.boxes, self.scores, self.class_ids, strict=True):
            name = self.class_names[class_id] if self.class_names else str(class_id)
            yield Detection(tuple(map(float, box)), float(score), int(class_id), name)

    def select(self, keep: Array) -> Detections:
        """Those where `keep` (a boolean mask, or indices in a new order) says so."""
        trust = None if self.corner_scores is None else self.corner_scores[keep]
        return replace(self, boxes=self.boxes[keep], scores=self.scores[keep], class_ids=self.class_ids[keep], corner_scores=trust)

    def above(self, threshold: float) -> Detections:
        """Those with a score of at least `threshold`."""
        return self.select(self.scores >= threshold)


@dataclass(frozen=True)
class Detection:
    """One object: box is (x1, y1, x2, y2) in pixels, score in [0, 1]."""

    box: tuple[float, ...]
    score: float
    class_id: int
    class_name: str


@dataclass(frozen=True)
class Normalization:
    """What the network's input went through: (pixel / 255 - mean) / std, per channel of a BGR image."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
