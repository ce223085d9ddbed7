"""Decoding as a part of the network, made of functions that every exporter knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import nnabla as nn
import nnabla.functions as F

from centernet.models.specs import Layout
from centernet.structures import Grid
from centernet.tasks._keypoints.graph import SUPPRESSED_LOGIT, best_cells, divided, peaks_only, rows_at
from centernet.tasks.triplet.decode import CANDIDATES, SMALL_AREA
from centernet.tasks.triplet.targets import CORNERS


class _Keypoints(NamedTuple):
    """The best cells of one heatmap, (V, K) each, best first; x and y in cells or input pixels, scores 0 where the cell is no peak."""

    x: nn.Variable
    y: nn.Variable
    scores: nn.Variable
    class_ids: nn.Variable
    tags: nn.Variable | None


class _Pairs(NamedTuple):
    """The best pairs of corners, (V, n) each, best first; corners in cells or input pixels, scores -1 where the two are no pair.

    first_scores, second_scores: of the top left and the bottom right corner.
    """

    x1: nn.Variable
    y1: nn.Variable
    x2: nn.Variable
    y2: nn.Variable
    scores: nn.Variable
    class_ids: nn.Variable
    first_scores: nn.Variable
    second_scores: nn.Variable


def decode_graph(
    outputs: Mapping[str, nn.Variable], *, k: int, grid: Grid, layout: Layout, corners: int, ae_threshold: float, flipped: bool = False
) -> dict[str, nn.Variable]:
    """`decode.decode_triplets` as a graph.

    Args:
        outputs: raw maps, (B, c, h, w) or (B, h, w, c) by layout, by the head's name.
        k, grid, corners, ae_threshold: as in `decode.decode_triplets`.
        flipped: the second half of the batch are the mirror images of the first; B below is that of the first.

    Returns:
        boxes: (B, n, 4) xyxy in network-input pixels. scores: (B, n) in [0, 1], best first. class_ids: (B, n), whole numbers in
        [0, C). corner_scores: (B, n, 2) in [0, 1]. n is the larger of k and 1000, or the number of all pairs of corners where
        that is less, and twice that where flipped; what is no object has score 0 and any box.

    Raises:
        ValueError: an odd number of images cannot be images and their mirror images.
    """
    images, odd = divmod(outputs["tl_heat"].shape[0], 2 if flipped else 1)
    if odd:
        raise ValueError(f"{2 * images + 1} images cannot be images and their mirror images")
    tl, br, ct = (_keypoints(outputs, point, corners, layout) for point in ("tl", "br", "ct"))
    pairs = _best_pairs(tl, br, ae_threshold=ae_threshold, limit=max(k, CANDIDATES))
    views = [ct]
    if flipped:
        pairs, views = _with_mirrored_back(pairs, images, grid.cells[1]), _of_both_views(ct, images, grid.cells[1])
    across, down = grid.width / grid.cells[1], grid.height / grid.cells[0]  # pixels a cell
    pairs = pairs._replace(x1=pairs.x1 * across, y1=pairs.y1 * down, x2=pairs.x2 * across, y2=pairs.y2 * down)
    first, *others = (_center_scores(pairs, view._replace(x=view.x * across, y=view.y * down)) for view in views)
    for other in others:
        first = first + F.equal_scalar(first, 0.0) * other
    is_object = F.greater_scalar(first, 0.0) * F.greater_scalar(pairs.scores, 0.0)
    total = (2.0 * pairs.scores + first) * (1 / 3) * is_object
    scores, order = F.top_k_data(total, total.shape[1], base_axis=1, with_index=True)
    return {
        "boxes": _chosen(_columns(pairs.x1, pairs.y1, pairs.x2, pairs.y2), order),
        "scores": F.maximum_scalar(scores, 0.0),
        "class_ids": _chosen(pairs.class_ids, order),
        "corner_scores": _chosen(_columns(pairs.first_scores, pairs.second_scores), order),
    }


def _keypoints(outputs: Mapping[str, nn.Variable], point: str, limit: int, layout: Layout) -> _Keypoints:
    heatmap = outputs[f"{point}_heat"]
    heatmap = heatmap if layout == "nchw" else F.transpose(heatmap, (0, 3, 1, 2))
    _, classes, rows, columns = heatmap.shape
    values, class_ids, y, x = best_cells(peaks_only(heatmap), min(limit, classes * rows * columns))
    cells = y * columns + x
    offset = rows_at(outputs[f"{point}_regr"], cells, layout)
    tags = F.reshape(rows_at(outputs[f"{point}_tag"], cells, layout), (-1, cells.shape[1])) if point in CORNERS else None
    scores = F.sigmoid(values) * F.greater_scalar(values, SUPPRESSED_LOGIT / 2)
    return _Keypoints(x + _column(offset, 0), y + _column(offset, 1), scores, class_ids, tags)


def _best_pairs(tl: _Keypoints, br: _Keypoints, *, ae_threshold: float, limit: int) -> _Pairs:
    assert tl.tags is not None
    assert br.tags is not None
    number = tl.x.shape[1]
    apart, other_class = _absolute(_each(tl.tags, br.tags)), _absolute(_each(tl.class_ids, br.class_ids))
    is_pair = F.less_equal_scalar(apart, ae_threshold) * F.less_scalar(other_class, 0.5)
    is_pair = is_pair * F.less_equal_scalar(_each(tl.x, br.x), 0.0) * F.less_equal_scalar(_each(tl.y, br.y), 0.0)
    is_pair = is_pair * F.greater_scalar(_each(F.greater_scalar(tl.scores, 0.0), F.less_equal_scalar(br.scores, 0.0)), 0.0)
    scores = 0.5 * _each(tl.scores, -1.0 * br.scores) * is_pair + (is_pair - 1.0)
    best, places = F.top_k_data(F.reshape(scores, (-1, number * number)), min(limit, number * number), base_axis=1, with_index=True)
    first, second = divided(places, number)
    x1, y1, class_ids, first_scores = (_chosen(part, first) for part in (tl.x, tl.y, tl.class_ids, tl.scores))
    x2, y2, second_scores = (_chosen(part, second) for part in (br.x, br.y, br.scores))
    return _Pairs(x1, y1, x2, y2, best, class_ids, first_scores, second_scores)


def _center_scores(pairs: _Pairs, centers: _Keypoints) -> nn.Variable:
    """(B, n), the score of the best centre of a pair's class inside its central region, 0 where there is none; all in input pixels."""
    x1, y1, x2, y2, *_ = pairs
    width, height = x2 - x1, y2 - y1
    is_large = F.greater_scalar(width * height, SMALL_AREA)
    share = is_large * (2 / 5 - 1 / 3) + 1 / 3
    inside = F.less_scalar(_absolute(_each(pairs.class_ids, centers.class_ids)), 0.5)
    sides = (x1 + share * width, x2 - share * width, centers.x), (y1 + share * height, y2 - share * height, centers.y)
    for low, high, middle in sides:
        inside = inside * F.less_scalar(_each(low, middle), 0.0) * F.greater_scalar(_each(high, middle), 0.0)
    return F.max(inside * F.reshape(centers.scores, (-1, 1, centers.scores.shape[1])), axis=2)


def _with_mirrored_back(pairs: _Pairs, images: int, width: int) -> _Pairs:
    """The pairs of images and then their mirror images, (2B, n), as all pairs of the images, (B, 2n)."""
    plain, mirrored = (_Pairs(*(part[views] for part in pairs)) for views in (slice(images), slice(images, None)))
    mirrored = mirrored._replace(x1=width - mirrored.x2, x2=width - mirrored.x1)
    return _Pairs(*(F.concatenate(*parts, axis=1) for parts in zip(plain, mirrored, strict=True)))


def _of_both_views(centers: _Keypoints, images: int, width: int) -> list[_Keypoints]:
    """The keypoints of images and then their mirror images, (2B, m), as those of each view in the images, (B, m)."""
    plain, mirrored = (
        _Keypoints(*(None if part is None else part[views] for part in centers)) for views in (slice(images), slice(images, None))
    )
    return [plain, mirrored._replace(x=width - mirrored.x)]


def _each(one: nn.Variable, other: nn.Variable) -> nn.Variable:
    """(B, n) and (B, m) to (B, n, m): every one minus every other."""
    return F.reshape(one, (-1, one.shape[1], 1)) - F.reshape(other, (-1, 1, other.shape[1]))


def _absolute(numbers: nn.Variable) -> nn.Variable:
    return F.maximum2(numbers, -1.0 * numbers)


def _chosen(values: nn.Variable, places: nn.Variable) -> nn.Variable:
    """(B, n, ...): the values (B, K, ...) at the places (B, n)."""
    return F.gather(values, places, axis=1, batch_dims=1)


def _columns(*parts: nn.Variable) -> nn.Variable:
    """Numbers (B, n) side by side, (B, n, c)."""
    return F.concatenate(*(F.reshape(part, (-1, part.shape[1], 1)) for part in parts), axis=2)


def _column(rows: nn.Variable, number: int) -> nn.Variable:
    """(B, k, c) to (B, k)."""
    count = rows.shape[1]
    # Without the batch axis, which [:] would hold to what it is now in an .nnp.
    return F.reshape(F.slice(rows, start=(0, number), stop=(count, number + 1), step=(1, 1)), (-1, count))
