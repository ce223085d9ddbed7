"""Mistakes in the boxes: empty, outside, drawn twice, too small for the input, too many, on top of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from centernet.data.datasets.base import DetectionDataset
from centernet.data.inspection.problems import Problem, by_share, offenders_of, some
from centernet.geometry import boxes as box_geometry
from centernet.imaging.warp import fit_matrix
from centernet.structures import Array, Grid

FEW, SEVERAL = 0.01, 0.05  # shares of the objects that training bears
CROSSING = 0.1  # share of a box outside of its image from which it is more than a sloppy edge


@dataclass(frozen=True)
class Boxes:
    """The objects of a split that are trained on, in images of known size.

    sizes: (N, 2) height and width of the images, 0 where unknown. grid: of the network.
    """

    split: str
    dataset: DetectionDataset
    sizes: Array
    grid: Grid

    @cached_property
    def rows(self) -> Array:
        """(n,) their rows in the annotations: those of images of known size that are not left out as crowd or difficult."""
        annotations, dataset = self.dataset.annotations, self.dataset
        dropped = annotations.is_crowd & (not dataset.keep_crowd) | annotations.is_difficult & (not dataset.keep_difficult)
        return np.flatnonzero(~dropped & (self.sizes[annotations.image_index] > 0).all(axis=1))

    @cached_property
    def images(self) -> Array:
        """(n,) the image of each."""
        return np.asarray(self.dataset.annotations.image_index[self.rows])

    @cached_property
    def xyxy(self) -> Array:
        """(n, 4) pixels of the images, as annotated."""
        return np.asarray(self.dataset.annotations.boxes[self.rows])

    @cached_property
    def class_ids(self) -> Array:
        """(n,)."""
        return np.asarray(self.dataset.annotations.class_ids[self.rows])

    @cached_property
    def clipped(self) -> Array:
        """(n, 4) pixels of the images, inside of them."""
        height, width = self.sizes[self.images].T
        return np.clip(self.xyxy, 0, np.stack([width, height, width, height], axis=1))

    @cached_property
    def in_cells(self) -> Array:
        """(n, 4) cells of the heatmap, clipped to it, as the targets have them without augmentation."""
        zooms, shifts = np.zeros(len(self.sizes)), np.zeros((len(self.sizes), 4))
        views: dict[tuple[int, int], tuple[float, float, float]] = {}
        for image, size in enumerate(map(tuple, self.sizes.tolist())):
            if min(size) > 0:
                if size not in views:
                    matrix = fit_matrix(size, (self.grid.height, self.grid.width))
                    views[size] = float(matrix[0, 0]), float(matrix[0, 2]), float(matrix[1, 2])
                zooms[image], *shift = views[size]
                shifts[image] = shift * 2
        moved = (self.xyxy * zooms[self.images, None] + shifts[self.images]) / self.grid.stride
        rows, columns = self.grid.cells
        clipped: Array = np.clip(moved, 0, np.array([columns - 1, rows - 1] * 2))
        return clipped

    @cached_property
    def is_target(self) -> Array:
        """(n,) bool: has an area in the heatmap."""
        return np.asarray((self.in_cells[:, 2:] > self.in_cells[:, :2]).all(axis=1))

    def problem(self, code: str, which: Array, *, bearable: float, text: str, cure: str, beside: Array | None = None) -> Iterator[Problem]:
        """One about some of the objects, if there are any; `which`: (n,) bool; `beside`: (n,) bool, those to be drawn with them."""
        found = self.rows[which]
        if not len(found):
            return
        annotations, dataset = self.dataset.annotations, self.dataset
        shown = np.zeros(len(which), np.bool_) if beside is None else beside & np.isin(self.images, self.images[which])
        examples = [
            f"{dataset.name(int(annotations.image_index[row]))}: {dataset.classes.names[annotations.class_ids[row]]} "
            f"({', '.join(f'{value:g}' for value in annotations.boxes[row].round(1))})"
            for row in found[:20]
        ]
        yield Problem(
            code=code,
            severity=by_share(len(found), len(self.rows), bearable=bearable),
            split=self.split,
            count=len(found),
            total=len(self.rows),
            what="objects",
            text=text,
            cure=cure,
            examples=some(examples),
            offenders=offenders_of(self.split, annotations.image_index, self.rows[which | shown]),
        )


def problems(boxes: Boxes, *, max_objects: int | None, k: int) -> Iterator[Problem]:
    """What is wrong with the boxes of a split.

    Args:
        max_objects: that become targets in an image; None: all.
        k: detections in an image.
    """
    is_empty = (boxes.xyxy[:, 2:] <= boxes.xyxy[:, :2]).any(axis=1)
    area, inside = box_geometry.area(boxes.xyxy), box_geometry.area(boxes.clipped)
    is_outside = ~is_empty & (inside <= 0)
    is_crossing = ~is_empty & ~is_outside & (inside < (1 - CROSSING) * area)
    yield from boxes.problem(
        "empty-boxes", is_empty, bearable=FEW,
        text="boxes without an area, which are never trained on", cure="draw them again, or remove them",
    )  # fmt: skip
    yield from boxes.problem(
        "outside-boxes", is_outside, bearable=FEW,
        text="boxes wholly outside of their image", cure="are they of another image, or of another size of it?",
    )  # fmt: skip
    yield from boxes.problem(
        "crossing-boxes", is_crossing, bearable=SEVERAL,
        text=f"boxes with more than {CROSSING:.0%} outside of their image; they are cut at its edge",
        cure="if there are many, they are of another size of the image, or turned",
    )  # fmt: skip
    is_repeated = _repeated(boxes)
    yield from boxes.problem(
        "repeated-boxes", is_repeated, bearable=FEW,
        text="objects that are annotated twice: same image, class and box", cure="remove all but one",
    )  # fmt: skip
    yield from _small(boxes, ~is_empty & ~is_outside)
    yield from _collisions(boxes, boxes.is_target & ~is_repeated)
    yield from _crowded(boxes, max_objects, k)


def _repeated(boxes: Boxes) -> Array:
    """(n,) bool: an earlier object is the same."""
    return _repeats(np.column_stack([boxes.images, boxes.class_ids, np.rint(2 * boxes.xyxy)]))[0]


def _small(boxes: Boxes, there: Array) -> Iterator[Problem]:
    sides = boxes.in_cells[:, 2:] - boxes.in_cells[:, :2]
    grid = boxes.grid
    is_small = there & (sides.min(axis=1, initial=np.inf) < 1)
    yield from boxes.problem(
        "tiny-boxes", is_small, bearable=SEVERAL,
        text=f"boxes narrower than a cell of the heatmap: {grid.stride} pixels of the {grid.height}x{grid.width} input",
        cure="a larger data.input_size, or images cut into tiles",
    )  # fmt: skip


def _collisions(boxes: Boxes, among: Array) -> Iterator[Problem]:
    """Objects whose centres fall into one cell: of one class they are one peak, of several the last one's size is learnt."""
    cells = boxes.in_cells
    centers = ((cells[:, :2] + cells[:, 2:]) / 2).astype(np.int64)
    rest = np.flatnonzero(among)
    place = np.column_stack([boxes.images, centers])[rest]
    with_class = np.column_stack([place, boxes.class_ids[rest]])
    is_merged, is_shared, is_first, is_first_of_any = (np.zeros(len(among), np.bool_) for _ in range(4))
    is_merged[rest], is_first[rest] = _repeats(with_class)
    is_shared[rest], is_first_of_any[rest] = _repeats(place)
    is_shared &= ~is_merged
    stride, cure = boxes.grid.stride, "a larger data.input_size, or a network with a smaller stride"
    yield from boxes.problem(
        "merged-centers", is_merged, bearable=FEW,
        text=f"centres in the same cell ({stride} pixels of the input) as another object's of the class: only one of them can be found",
        cure=cure, beside=is_first,
    )  # fmt: skip
    yield from boxes.problem(
        "shared-centers", is_shared, bearable=SEVERAL,
        text="centres in the same cell as an object's of another class: only one of the two sizes can be learnt", cure=cure,
        beside=is_first_of_any,
    )  # fmt: skip


def _repeats(keys: Array) -> tuple[Array, Array]:
    """(n,) bool: an earlier row is equal; and: no earlier one is, but a later one."""
    repeats, is_followed = np.ones(len(keys), np.bool_), np.zeros(len(keys), np.bool_)
    if len(keys):
        _, first, numbers = np.unique(keys, axis=0, return_index=True, return_counts=True)
        repeats[first] = False
        is_followed[first[numbers > 1]] = True
    return repeats, is_followed


def _crowded(boxes: Boxes, max_objects: int | None, k: int) -> Iterator[Problem]:
    position = np.arange(len(boxes.images)) - np.searchsorted(boxes.images, boxes.images)  # in the image, in the order of the file
    if max_objects is not None:
        most = int(position.max(initial=-1)) + 1
        yield from boxes.problem(
            "too-many-objects", position >= max_objects, bearable=0,
            text=f"objects beyond the {max_objects} that become targets in an image (task.max_objects); they are trained on as background",
            cure=f"task.max_objects: {most}",
        )  # fmt: skip
    if boxes.split == "val":
        yield from boxes.problem(
            "too-few-detections", position >= k, bearable=FEW,
            text=f"objects beyond the {k} detections that are made in an image (test.k); they count as missed",
            cure=f"test.k: {int(position.max(initial=-1)) + 1}",
        )  # fmt: skip
