"""Objects of one image to what the losses see, and back to what a perfect network would answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from centernet.geometry.gaussian import Elliptic, Fixed, draw_gaussian
from centernet.structures import Array, Grid, Sample
from centernet.tasks._keypoints.targets import RadiusFunction, class_ids_of, erase_peaks, ideal_logits, whole_radius
from centernet.tasks.ctdet.config import Clip, Counting, Form, Place
from centernet.tasks.ctdet.regions import Region, draw_regions

CHANNELS: Mapping[Form, Mapping[str, int]] = {"size": {"size": 2, "offset": 2}, "ltrb": {"ltrb": 4}}  # of the heads that say boxes


def encode_centers(
    sample: Sample,
    grid: Grid,
    *,
    num_classes: int,
    max_objects: int,
    radius: RadiusFunction | Elliptic | Fixed,
    min_overlap: float,
    form: Form = "size",
    at: Place = "center",
    beta: float = 0.54,
    weight: Counting = "log_area",
    clip: Clip = "published",
    more: tuple[str, ...] = (),
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
        radius: reach of an object's Gaussian in cells from (height, width, min_overlap), both rounded up; truncated to an integer.
        min_overlap: passed on to `radius`, in (0, 1).
        form: size: boxes are `size` and `offset`; ltrb: they are `ltrb`.
        at: center: boxes are rows, for the centres' cells. 3x3, gaussian, heatmap: they are maps, see `regions.draw_regions`, but
            for `offset` with heatmap, which is for the centres' cells.
        beta: with gaussian, how far of the way to a box's sides its region reaches, in (0, 1].
        weight: with gaussian, how much an object counts.
        clip: published: to [0, w - 1] x [0, h - 1] cells; exact: to the input.
        more: names of entries that only some losses need: `class_ids`, `num_cells`.
        out: zeros, or what an earlier call for this grid returned, to write into; other entries are left alone.

    Returns:
        heatmap: (C, h, w) float32 in [0, 1], exactly 1 in the cell of each object's centre.
        indices: (m,) int32 in [0, h*w), the centre's cell as row * w + column; 0 where the mask is 0.
        size: (m, 2) float32, clipped width and height in cells; or (2, h, w).
        offset: (m, 2) float32, centre minus its cell (x, y), in cells, in [0, 1); or (2, h, w), of cells beside it in [-h, w].
        ltrb: (m, 4) float32, from the middle of the centre's cell to the clipped box's left, top, right and bottom, in cells; or
            (4, h, w).
        weights: (h, w) float32, how much each cell of the maps counts, and total_weight: () float32, their sum; only with maps.
        mask: (m,) float32, 1 where the row is an object.
        class_ids: (m,) int32. num_cells: () float32, C*h*w.
        num_peaks: () float32, heatmap cells that are 1; num_objects: () float32, the sum of the mask.

    Raises:
        ValueError: a class id is out of range.
    """
    class_ids = class_ids_of(sample, num_classes=num_classes, max_objects=max_objects)
    shapes = _shapes((num_classes, *grid.cells), max_objects, form, at, more)
    if out is None:
        targets = {name: np.zeros(shape, np.int32 if name in INTEGERS else np.float32) for name, shape in shapes.items()}
    else:
        targets = {name: out[name] for name in shapes}
        _erase(targets)
    table, objects = _table(sample.boxes[:max_objects], grid, clip)
    # The table first, the peaks second: whatever is in the heatmap can be found again by it.
    _write_table(targets, table, form)
    radii, num_peaks = _draw_peaks(targets["heatmap"], class_ids, objects, _reach(radius, min_overlap))
    if at != "center":
        found = zip(filter(None, objects), radii, strict=True)
        regions = [_region(*one, at=at, beta=beta, stride=grid.stride) for one in found]
        _write_maps(targets, regions, at, weight)
    if "class_ids" in more:
        targets["class_ids"][: len(class_ids)] = class_ids
    if "num_cells" in more:
        targets["num_cells"][...] = targets["heatmap"].size
    targets["num_peaks"][...] = num_peaks
    targets["num_objects"][...] = len(radii)
    return targets


INTEGERS = ("indices", "class_ids")
_Object = tuple[tuple[int, int], tuple[float, float, float, float], float, float]  # its cell (x, y), xyxy, height and width in cells
_NOTHING = (0.0,) * 6
_Radii = tuple[int, int]  # (across, down), in whole cells
_Reach = Callable[[float, float], _Radii]  # of the peak of a box of (height, width) cells


def _table(boxes: Array, grid: Grid, clip: Clip) -> tuple[Array, list[_Object | None]]:
    """The objects' cells and numbers.

    Args:
        boxes: (n, 4) xyxy, in network-input pixels.
        grid: the network's input size and stride.
        clip: see `encode_centers`.

    Returns:
        (n, 6) float64: index, width, height, offset (x, y) and mask as in `encode_centers`, zeros without area; and each
        object, None without area.
    """
    rows, columns = grid.cells
    right, bottom = (columns - 1, rows - 1) if clip == "published" else (grid.width / grid.stride, grid.height / grid.stride)
    last = np.array([right, bottom, right, bottom], np.float64)
    clipped = np.minimum(np.maximum(boxes.astype(np.float64) / grid.stride, 0), last)
    table: list[tuple[float, ...]] = []
    objects: list[_Object | None] = []
    for left, top, right, bottom in clipped.tolist():
        width, height = right - left, bottom - top
        if width <= 0 or height <= 0:
            table.append(_NOTHING)
            objects.append(None)
            continue
        x, y = (left + right) / 2, (top + bottom) / 2
        column, row = min(int(x), columns - 1), min(int(y), rows - 1)  # never negative, so truncation is floor; x may round to `columns`
        table.append((row * columns + column, width, height, x - column, y - row, 1.0))
        objects.append(((column, row), (left, top, right, bottom), height, width))
    return np.array(table, np.float64).reshape(-1, 6), objects


def _write_table(targets: Mapping[str, Array], table: Array, form: Form) -> None:
    """The rows of the objects; entries that are maps are left alone."""
    size, offset = table[:, 1:3], table[:, 3:5]
    columns = {"indices": table[:, 0], "mask": table[:, 5]}
    if form == "size":
        columns |= {"size": size, "offset": offset}
    else:
        middle = (0.5 - offset) * table[:, 5:]  # of the cell, seen from the centre
        columns["ltrb"] = np.concatenate([size / 2 + middle, size / 2 - middle], axis=1)
    for name, values in columns.items():
        if targets[name].ndim < 3:
            targets[name][: len(table)] = values


def _draw_peaks(heatmap: Array, class_ids: Sequence[int], objects: Sequence[_Object | None], reach: _Reach) -> tuple[list[_Radii], int]:
    """Each object's peak; how far it reaches, of those with area; and in how many cells of the heatmap they are."""
    peaks, radii = set(), []
    for class_id, found in zip(class_ids, objects, strict=True):
        if found is not None:
            cell, _, height, width = found
            radii.append(reach(height, width))
            draw_gaussian(heatmap[class_id], cell, radii[-1])
            peaks.add((class_id, cell))
    return radii, len(peaks)


def _write_maps(
    targets: Mapping[str, Array], regions: Sequence[Region], at: Literal["3x3", "gaussian", "heatmap"], weight: Counting
) -> None:
    """The maps of the boxes, how much each of their cells counts, and the sum of that."""
    values = {name: array for name, array in targets.items() if array.ndim == 3 and name != "heatmap"}
    draw_regions(targets["weights"], values, regions, at=at, weight=weight)
    targets["total_weight"][...] = targets["weights"].sum(dtype=np.float64)


def _reach(radius: RadiusFunction | Elliptic | Fixed, min_overlap: float) -> _Reach:
    if not callable(radius):
        return radius.radii

    def both(height: float, width: float) -> _Radii:
        cells = whole_radius(radius, height, width, min_overlap)
        return cells, cells

    return both


def _region(found: _Object, radii: _Radii, *, at: Place, beta: float, stride: int) -> Region:
    cell, box, height, width = found
    if at != "heatmap":
        radii = (1, 1) if at == "3x3" else Elliptic(beta).radii(height, width)
    return Region(box, cell, radii, (stride * height + 1) * (stride * width + 1))


@lru_cache(maxsize=64)
def _shapes(heatmap: tuple[int, int, int], rows: int, form: Form, at: Place, more: tuple[str, ...]) -> Mapping[str, tuple[int, ...]]:
    """The entries of `encode_centers` with their shapes."""
    shapes: dict[str, tuple[int, ...]] = {"heatmap": heatmap, "indices": (rows,)}
    for name, channels in CHANNELS[form].items():
        is_map = at != "center" and not (at == "heatmap" and name == "offset")
        shapes[name] = (channels, *heatmap[1:]) if is_map else (rows, channels)
    shapes["mask"] = (rows,)
    if at != "center":
        shapes |= {"weights": heatmap[1:], "total_weight": ()}
    shapes |= {name: (rows,) if name == "class_ids" else () for name in more}
    return {**shapes, "num_peaks": (), "num_objects": ()}


def _erase(targets: Mapping[str, Array]) -> None:
    """Set targets back to zero."""
    erase_peaks(targets["heatmap"], targets["indices"][targets["mask"] > 0])
    for name, array in targets.items():
        if name != "heatmap":
            array[...] = 0


def ideal_outputs(targets: Mapping[str, Array], *, cells: tuple[int, int], certain: bool = True) -> dict[str, Array]:
    """The head maps at which every loss is zero and whose detections are the objects that were encoded.

    Where objects share a cell, the maps hold the last one's box; where their regions do, the smaller one's.

    Args:
        targets: a batch of `encode_centers`' entries, stacked on a new first axis.
        cells: (h, w) of the heatmap.
        certain: the heatmap is sure of every cell, as the focal loss wants it; else it is as sure as the target.

    Returns:
        heatmap: (B, C, h, w) float32, logits. size, offset, ltrb: (B, c, h, w) float32, in cells, as `decode.decode_centers` takes them.
    """
    heatmap = targets["heatmap"]
    maps = {"heatmap": ideal_logits(heatmap, certain=certain)}
    image, row = np.nonzero(targets["mask"])
    for name in (name for form in CHANNELS.values() for name in form if name in targets):
        target = targets[name]
        if target.ndim == 4:
            maps[name] = target.astype(np.float32)
            continue
        kinds = heatmap.shape[1] if name == "size" and "class_ids" in targets else 1
        flat = np.zeros((len(target), kinds, target.shape[2], cells[0] * cells[1]), np.float32)
        kind = targets["class_ids"][image, row] if kinds > 1 else 0
        flat[image, kind, :, targets["indices"][image, row]] = target[image, row]
        maps[name] = flat.reshape(len(target), -1, *cells)
    return maps
