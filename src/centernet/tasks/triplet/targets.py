"""Objects of one image as three keypoints each, and back to what a perfect network would answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from centernet.geometry.gaussian import draw_gaussian
from centernet.structures import Array, Grid, Sample
from centernet.tasks._keypoints.targets import RadiusFunction, class_ids_of, erase_peaks, ideal_logits, whole_radius

# The keypoints of a box, as its heads are called: top left corner, bottom right corner, centre.
CORNERS = ("tl", "br")
POINTS = (*CORNERS, "ct")

SIGMAS: Mapping[str, float] = {"tl": 6.0, "br": 6.0, "ct": 5.0}  # that a keypoint's peak is wide

# Embeddings of a perfect network: those of an image's objects are 1, 2, 3, ... times this; elsewhere the corners are as far apart.
TAG_STEP = 2.0
BACKGROUND_TAGS: Mapping[str, float] = {"tl": 0.0, "br": -TAG_STEP}


def encode_triplets(
    sample: Sample,
    grid: Grid,
    *,
    num_classes: int,
    max_objects: int,
    radius: RadiusFunction,
    min_overlap: float,
    out: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Targets of one image (Duan et al. 2019, CenterNet: Keypoint Triplets, arXiv:1904.08189, section 3.4; corners as in Law and
    Deng 2018, CornerNet, arXiv:1808.01244, sections 3.2 and 3.3).

    Boxes are clipped to the image; an object without area left is dropped, but keeps its row, with mask 0. Objects beyond
    `max_objects` are dropped altogether. Pixels become cells by the ratio of both sizes, 128 / 511 for an input of 511.

    Args:
        sample: its boxes are xyxy in network-input pixels, class_ids in [0, num_classes).
        grid: the network's input size and stride; h, w are its cells.
        num_classes: C, the channels of each heatmap.
        max_objects: m, the number of rows.
        radius: reach of an object's peaks in cells from (height, width, min_overlap), both rounded up; truncated to an integer.
        min_overlap: passed on to `radius`, in (0, 1).
        out: zeros, or what an earlier call for this grid returned, to write into; other entries are left alone.

    Returns:
        Of each keypoint P, which is tl, br or ct:
        P_heat: (C, h, w) float32 in [0, 1], exactly 1 in the cell of each object's keypoint.
        P_indices: (m,) int32 in [0, h*w), that cell as row * w + column; 0 where the mask is 0.
        P_offset: (m, 2) float32, the keypoint minus its cell (x, y), in cells, in [0, 1]; 1 at the map's far sides only.
        num_P_peaks: () float32, cells of P_heat that are 1.
        And mask: (m,) float32, 1 where the row is an object; num_objects: () float32, its sum; num_images: () float32, 1.

    Raises:
        ValueError: a class id is out of range.
    """
    class_ids = class_ids_of(sample, num_classes=num_classes, max_objects=max_objects)
    shapes = _shapes((num_classes, *grid.cells), max_objects)
    if out is None:
        targets = {name: np.zeros(shape, np.int32 if name.endswith("_indices") else np.float32) for name, shape in shapes.items()}
    else:
        targets = {name: out[name] for name in shapes}
        _erase(targets)
    boxes = _in_cells(sample.boxes[:max_objects], grid)
    sizes = boxes[:, 2:] - boxes[:, :2]
    rows = np.flatnonzero((sizes > 0).all(axis=1))
    reach = [whole_radius(radius, height, width, min_overlap) for width, height in sizes[rows].tolist()]
    targets["mask"][rows] = 1
    targets["num_objects"][...] = len(rows)
    targets["num_images"][...] = 1
    points = {"tl": boxes[rows, :2], "br": boxes[rows, 2:], "ct": (boxes[rows, :2] + boxes[rows, 2:]) / 2}
    last = np.array(grid.cells[::-1]) - 1
    for name, point in points.items():
        cells = np.minimum(point.astype(np.int64), last)  # never negative, so truncation is floor
        targets[f"{name}_indices"][rows] = cells[:, 1] * grid.cells[1] + cells[:, 0]
        targets[f"{name}_offset"][rows] = point - cells
        peaks = [(class_ids[row], x, y) for row, (x, y) in zip(rows.tolist(), cells.tolist(), strict=True)]
        for (class_id, x, y), cells_of in zip(peaks, reach, strict=True):
            draw_gaussian(targets[f"{name}_heat"][class_id], (x, y), cells_of, sigmas=SIGMAS[name])
        targets[f"num_{name}_peaks"][...] = len(set(peaks))
    return targets


def ideal_outputs(targets: Mapping[str, Array], *, cells: tuple[int, int]) -> dict[str, Array]:
    """The head maps at which every loss is zero and whose detections are the objects that were encoded.

    Where keypoints of objects share a cell, the maps hold the last one's offset and embedding.

    Args:
        targets: a batch of `encode_triplets`' entries, stacked on a new first axis.
        cells: (h, w) of the heatmaps.

    Returns:
        tl_heat, br_heat, ct_heat: (B, C, h, w) float32, logits. tl_tag, br_tag: (B, 1, h, w) float32. tl_regr, br_regr, ct_regr:
        (B, 2, h, w) float32, in cells.
    """
    maps = {f"{point}_heat": ideal_logits(targets[f"{point}_heat"]) for point in POINTS}
    image, row = np.nonzero(targets["mask"])
    batch = len(targets["mask"])
    for point in CORNERS:
        tags = np.full((batch, cells[0] * cells[1]), BACKGROUND_TAGS[point], np.float32)
        tags[image, targets[f"{point}_indices"][image, row]] = TAG_STEP * (row + 1)
        maps[f"{point}_tag"] = tags.reshape(batch, 1, *cells)
    for point in POINTS:
        offsets = np.zeros((batch, 2, cells[0] * cells[1]), np.float32)
        offsets[image, :, targets[f"{point}_indices"][image, row]] = targets[f"{point}_offset"][image, row]
        maps[f"{point}_regr"] = offsets.reshape(batch, 2, *cells)
    return maps


def _in_cells(boxes: Array, grid: Grid) -> Array:
    """(n, 4) float64 xyxy in cells, clipped to the image."""
    size = np.array([grid.width, grid.height] * 2, np.float64)
    cells = np.array([*grid.cells[::-1]] * 2, np.float64)
    return np.asarray(np.clip(boxes.astype(np.float64), 0, size) * (cells / size))


@lru_cache(maxsize=64)
def _shapes(heatmap: tuple[int, int, int], rows: int) -> Mapping[str, tuple[int, ...]]:
    """The entries of `encode_triplets` with their shapes."""
    shapes: dict[str, tuple[int, ...]] = {f"{point}_heat": heatmap for point in POINTS}
    shapes |= {f"{point}_indices": (rows,) for point in POINTS}
    shapes |= {f"{point}_offset": (rows, 2) for point in POINTS}
    return {**shapes, "mask": (rows,), **dict.fromkeys(COUNTS, ())}


COUNTS = (*(f"num_{point}_peaks" for point in POINTS), "num_objects", "num_images")


def _erase(targets: Mapping[str, Array]) -> None:
    """Set targets back to zero."""
    is_object = targets["mask"] > 0
    for point in POINTS:
        erase_peaks(targets[f"{point}_heat"], targets[f"{point}_indices"][is_object])
    for name, array in targets.items():
        if not name.endswith("_heat"):
            array[...] = 0
