"""Objects of one image to what the losses see, and back to what a perfect network would answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from centernet.geometry.gaussian import draw_gaussian
from centernet.structures import Array, Grid, Sample

RadiusFunction = Callable[[float, float, float], float]  # height, width, min_overlap -> radius, in cells

# As a probability indistinguishable from 0 and 1 in float32, yet finite: the logit of an ideal heatmap.
CERTAIN_LOGIT = 30.0

TARGETS = ("heatmap", "indices", "size", "offset", "mask", "num_peaks", "num_objects")


def encode_centers(
    sample: Sample,
    grid: Grid,
    *,
    num_classes: int,
    max_objects: int,
    radius: RadiusFunction,
    min_overlap: float,
    out: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Targets of one image (Zhou et al. 2019, arXiv:1904.07850, section 3).

    Boxes are clipped to the map; an object without area left is dropped, but keeps its row, with mask 0. Objects
    beyond `max_objects` are dropped altogether.

    Args:
        sample: its boxes are xyxy in network-input pixels, class_ids in [0, num_classes).
        grid: the network's input size and stride; h, w are its cells.
        num_classes: C, the heatmap's channels.
        max_objects: m, the number of rows.
        radius: reach of an object's Gaussian in cells from (height, width, min_overlap); truncated to an integer.
        min_overlap: passed on to `radius`, in (0, 1).
        out: zeros, or what an earlier call for this grid returned, to write into; other entries are left alone.

    Returns:
        heatmap: (C, h, w) float32 in [0, 1], exactly 1 in the cell of each object's centre.
        indices: (m,) int32 in [0, h*w), the centre's cell as row * w + column; 0 where the mask is 0.
        size: (m, 2) float32, clipped width and height in cells.
        offset: (m, 2) float32, centre minus its cell (x, y), in cells, in [0, 1).
        mask: (m,) float32, 1 where the row is an object.
        num_peaks: () float32, heatmap cells that are 1; num_objects: () float32, the sum of the mask.

    Raises:
        ValueError: a class id is out of range.
    """
    class_ids = sample.class_ids[:max_objects].tolist()
    if class_ids and (min(class_ids) < 0 or max(class_ids) >= num_classes):
        raise ValueError(f"{sample.name or 'sample'}: class ids {min(class_ids)}..{max(class_ids)}, expected 0..{num_classes - 1}")
    if out is None:
        targets = _zeros(num_classes=num_classes, cells=grid.cells, max_objects=max_objects)
    else:
        targets = {name: out[name] for name in TARGETS}
        _erase(targets)
    table, shapes = _table(sample.boxes[:max_objects], grid)
    # The table first, the peaks second: whatever is in the heatmap can be found again by it.
    columns = (table[:, 0], table[:, 1:3], table[:, 3:5], table[:, 5])
    for name, values in zip(("indices", "size", "offset", "mask"), columns, strict=True):
        targets[name][: len(table)] = values
    peaks = set()
    for class_id, shape in zip(class_ids, shapes, strict=True):
        if shape is not None:
            cell, height, width = shape
            draw_gaussian(targets["heatmap"][class_id], cell, max(0, int(radius(height, width, min_overlap))))
            peaks.add((class_id, cell))
    targets["num_peaks"][...] = len(peaks)
    targets["num_objects"][...] = len(shapes) - shapes.count(None)
    return targets


_Shape = tuple[tuple[int, int], int, int]  # an object's cell (x, y), and its height and width in cells, rounded up
_NOTHING = (0.0,) * 6


def _table(boxes: Array, grid: Grid) -> tuple[Array, list[_Shape | None]]:
    """The objects' cells and numbers.

    Args:
        boxes: (n, 4) xyxy, in network-input pixels.
        grid: the network's input size and stride.

    Returns:
        (n, 6) float64: index, width, height, offset (x, y) and mask as in `encode_centers`, zeros without area; and each
        object's shape, None without area.
    """
    rows, columns = grid.cells
    last = np.array([columns - 1, rows - 1, columns - 1, rows - 1], np.float64)
    clipped = np.minimum(np.maximum(boxes.astype(np.float64) / grid.stride, 0), last)
    table: list[tuple[float, ...]] = []
    shapes: list[_Shape | None] = []
    for left, top, right, bottom in clipped.tolist():
        width, height = right - left, bottom - top
        if width <= 0 or height <= 0:
            table.append(_NOTHING)
            shapes.append(None)
            continue
        x, y = (left + right) / 2, (top + bottom) / 2
        column, row = int(x), int(y)  # never negative, so truncation is floor
        table.append((row * columns + column, width, height, x - column, y - row, 1.0))
        shapes.append(((column, row), math.ceil(height), math.ceil(width)))
    return np.array(table, np.float64).reshape(-1, 6), shapes


def _zeros(*, num_classes: int, cells: tuple[int, int], max_objects: int) -> dict[str, Array]:
    """The targets of an image without objects."""
    shapes = ((num_classes, *cells), (max_objects,), (max_objects, 2), (max_objects, 2), (max_objects,), (), ())
    return {name: np.zeros(shape, np.int32 if name == "indices" else np.float32) for name, shape in zip(TARGETS, shapes, strict=True)}


def _erase(targets: Mapping[str, Array]) -> None:
    """Set targets back to zero.

    The heatmap is most of them and nearly all zero, so only the channels that were drawn in are cleared; they are those
    that are 1 at the cell of an object.
    """
    heatmap = targets["heatmap"]
    rows, columns = np.divmod(targets["indices"][targets["mask"] > 0], heatmap.shape[2])
    for channel in np.flatnonzero((heatmap[:, rows, columns] == 1).any(axis=1)):
        heatmap[channel] = 0
    for name in TARGETS[1:]:
        targets[name][...] = 0


def ideal_outputs(targets: Mapping[str, Array], *, cells: tuple[int, int]) -> dict[str, Array]:
    """The head maps at which every loss is zero and whose detections are the objects that were encoded.

    Where objects share a cell, the maps hold the last one's size and offset.

    Args:
        targets: a batch of `encode_centers`' entries, stacked on a new first axis.
        cells: (h, w) of the heatmap.

    Returns:
        heatmap: (B, C, h, w) float32, logits, certain everywhere. size, offset: (B, 2, h, w) float32, in cells.
    """
    batch = len(targets["heatmap"])
    maps: dict[str, Array] = {"heatmap": np.where(targets["heatmap"] >= 1, CERTAIN_LOGIT, -CERTAIN_LOGIT).astype(np.float32)}
    image, row = np.nonzero(targets["mask"])
    for name in ("size", "offset"):
        flat = np.zeros((batch, 2, cells[0] * cells[1]), np.float32)
        flat[image, :, targets["indices"][image, row]] = targets[name][image, row]
        maps[name] = flat.reshape(batch, 2, *cells)
    return maps
