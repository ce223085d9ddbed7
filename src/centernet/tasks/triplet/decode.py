"""Head maps to detections in NumPy: corners that belong together, with a centre of their class between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from centernet.structures import Array, Detections, Grid
from centernet.tasks._keypoints.decode import best_peaks, sigmoid
from centernet.tasks.triplet.targets import CORNERS, POINTS

CANDIDATES = 1000  # pairs of corners of an image that are kept, as published
SMALL_AREA = 22500.0  # input pixels²: the middle third of a box up to this large is its central region, of larger ones the middle fifth
HEADS = (*(f"{p}_heat" for p in POINTS), *(f"{p}_tag" for p in CORNERS), *(f"{p}_regr" for p in POINTS))


class Keypoints(NamedTuple):
    """Cells of one heatmap: points (n, 2) x and y in cells, scores (n,) in [0, 1], class_ids and tags (n,)."""

    points: Array
    scores: Array
    class_ids: Array
    tags: Array


class Pairs(NamedTuple):
    """Boxes (n, 4) xyxy, scores (n,) in [0, 1], class_ids (n,), and scores (n, 2) of the top left and bottom right corner."""

    boxes: Array
    scores: Array
    class_ids: Array
    corner_scores: Array


def decode_triplets(
    outputs: Mapping[str, Array], *, k: int, grid: Grid, corners: int, ae_threshold: float, flipped: bool = False
) -> list[Detections]:
    """Read the objects off the raw head maps of each image (Duan et al. 2019, arXiv:1904.08189, sections 3.1 and 3.4).

    A top left and a bottom right corner are a pair where they are of one class, in that order, and their embeddings are near. A
    pair is an object where a centre of its class lies in the box's central region; the object's score is two thirds the mean
    of the corners' and one third the centre's.

    Args:
        outputs: of each keypoint P, which is tl, br or ct: P_heat (B, C, h, w) logits, P_regr (B, 2, h, w) the point minus its cell
            (x, y), in cells; tl_tag and br_tag (B, 1, h, w) embeddings.
        k: so many pairs of corners at least are looked at, best first, where there are as many; 1000 if that is more.
        grid: of the network's input; it is as wide as its cells, so a cell of a 511 pixels wide input is 511 / 128 pixels.
        corners: so many of the best cells of each heatmap are looked at.
        ae_threshold: the largest distance of a pair's embeddings.
        flipped: the second half of the batch are the mirror images of the first. Both views are read by themselves, and a pair of
            either counts with a centre of either, the image's own first.

    Returns:
        For each image its objects, of all views and not suppressed, best first, boxes xyxy in network-input pixels. A mirror
        image's top left corner is trusted as it is there, though it is the top right one here, as in the published test.

    Raises:
        ValueError: the maps do not share (B, h, w), or an odd number of images cannot be images and their mirror images.
    """
    _check_maps(outputs)
    images, odd = divmod(len(outputs["tl_heat"]), 2 if flipped else 1)
    if odd:
        raise ValueError(f"{2 * images + 1} images cannot be images and their mirror images")
    look = partial(_in_views, outputs, limit=max(CANDIDATES, k), grid=grid, corners=corners, ae_threshold=ae_threshold)
    return [look((image, images + image)[: 1 + flipped]) for image in range(images)]


def _in_views(
    outputs: Mapping[str, Array], views: Sequence[int], *, limit: int, grid: Grid, corners: int, ae_threshold: float
) -> Detections:
    """The objects in one image, `views[0]` of the batch, and in its mirror image, where `views` has a second."""
    pairs, centers = [], []
    for is_mirrored, view in enumerate(views):
        best = ((point, best_peaks(outputs[f"{point}_heat"][view], corners)) for point in POINTS)
        tl, br, ct = (keypoints(outputs, point, view, cells=cells) for point, cells in best)
        pair = corner_pairs(tl, br, ae_threshold=ae_threshold, limit=limit)
        pairs.append(pair._replace(boxes=mirrored(pair.boxes, grid.cells[1])) if is_mirrored else pair)
        centers.append(ct._replace(points=mirrored(ct.points, grid.cells[1])) if is_mirrored else ct)
    boxes, scores, class_ids, corner_scores = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    points, center_scores, center_class_ids, _ = (np.concatenate(parts) for parts in zip(*centers, strict=True))
    boxes = in_pixels(boxes, grid)
    which = matching_centers(boxes, class_ids, in_pixels(points, grid), center_class_ids)
    (kept,) = np.nonzero(which >= 0)
    scores = (2 * scores[kept] + center_scores[which[kept]]) / 3
    order = np.argsort(-scores, kind="stable")
    kept = kept[order]
    return Detections(boxes[kept], scores[order], class_ids[kept], corner_scores=corner_scores[kept])


def keypoints(outputs: Mapping[str, Array], point: str, image: int, *, cells: Array) -> Keypoints:
    """What the maps of an image say of a keypoint in cells (n,) of its flat heatmap."""
    heatmap = outputs[f"{point}_heat"][image]
    _, rows, columns = heatmap.shape
    class_ids, place = np.divmod(cells, rows * columns)
    y, x = np.divmod(place, columns)
    offset = outputs[f"{point}_regr"][image, :, y, x].astype(np.float64)
    tags = outputs[f"{point}_tag"][image, 0, y, x] if point in CORNERS else np.zeros(len(cells), np.float32)
    return Keypoints(np.column_stack([x, y]) + offset, sigmoid(heatmap.reshape(-1)[cells]), class_ids, tags)


def corner_pairs(tl: Keypoints, br: Keypoints, *, ae_threshold: float, limit: int, slack: float = 0.0) -> Pairs:
    """The `limit` best pairs of corners, best first; boxes in cells, scores the mean of both corners'.

    slack: how far embeddings and points may be off, in embeddings and cells; pairs that would then be some count too.
    """
    is_pair = tl.class_ids[:, None] == br.class_ids
    is_pair &= abs(tl.tags[:, None] - br.tags) <= ae_threshold + 2 * slack
    is_pair &= (br.points >= tl.points[:, None] - 2 * slack).all(axis=2)
    first, second = np.nonzero(is_pair)
    scores = (tl.scores[first] + br.scores[second]) / 2
    order = np.argsort(-scores, kind="stable")[:limit]
    first, second = first[order], second[order]
    boxes, corners = np.concatenate([tl.points[first], br.points[second]], axis=1), np.column_stack([tl.scores[first], br.scores[second]])
    return Pairs(boxes, scores[order], tl.class_ids[first], corners)


def matching_centers(boxes: Array, class_ids: Array, points: Array, point_class_ids: Array) -> Array:
    """The first centre of a box's class that lies strictly inside its central region.

    That is the middle third of the box, by width and by height, up to an area of 22500 pixels², and of larger boxes the middle fifth.

    Args:
        boxes: (n, 4) xyxy, in network-input pixels. class_ids: (n,).
        points: (m, 2) x and y of the centres, in network-input pixels. point_class_ids: (m,).

    Returns:
        (n,) indices of centres, -1 for boxes that have none.
    """
    if not len(points):
        return np.full(len(boxes), -1)
    is_inside = inside_central_region(boxes, points) & (class_ids[:, None] == point_class_ids)
    return np.where(is_inside.any(axis=1), is_inside.argmax(axis=1), -1)


def inside_central_region(boxes: Array, points: Array, *, margin: float = 0.0) -> Array:
    """(n, m) bool: whether points (m, 2) are in the central regions of boxes (n, 4), both in pixels, made `margin` pixels wider."""
    first, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    share = np.where(sides.prod(axis=1) <= SMALL_AREA, 1 / 3, 2 / 5)[:, None]
    low, high = first + share * sides - margin, boxes[:, 2:] - share * sides + margin
    x, y = points.T
    across = (x > low[:, :1]) & (x < high[:, :1])
    return np.asarray(across & (y > low[:, 1:]) & (y < high[:, 1:]))


def mirrored(boxes: Array, width: float) -> Array:
    """Points (n, 2) or boxes (n, 4) xyxy in the mirror image, in continuous coordinates; `width` of the image, in their unit."""
    turned = boxes.copy()
    turned[:, ::2] = width - boxes[:, ::2][:, ::-1]
    return turned


def in_pixels(points: Array, grid: Grid) -> Array:
    """Points (n, 2) or boxes (n, 4) in cells as network-input pixels."""
    pixels = np.array([grid.width, grid.height]) / np.array(grid.cells[::-1])
    return np.asarray(points * np.tile(pixels, points.shape[1] // 2))


def read_decoded(arrays: Mapping[str, Array]) -> list[Detections]:
    """The outputs of `graph.decode_graph`, best first; what has score 0 is no object."""
    rows = zip(*(arrays[name] for name in ("boxes", "scores", "class_ids", "corner_scores")), strict=True)
    found = (Detections(boxes, scores, np.rint(ids).astype(np.int64), corner_scores=corners) for boxes, scores, ids, corners in rows)
    return [one.select(one.scores > 0) for one in found]


def _check_maps(outputs: Mapping[str, Array]) -> None:
    """ValueError where the maps are not those of one network."""
    shapes = {name: outputs[name].shape for name in HEADS}
    channels = {"heat": shapes["tl_heat"][1], "tag": 1, "regr": 2}
    fits = all(len(shape) == 4 and shape[1] == channels[name[3:]] for name, shape in shapes.items())
    if not fits or len({(shape[0], *shape[2:]) for shape in shapes.values()}) != 1:
        raise ValueError(f"head maps do not belong together: {shapes}; expected heat (B, C, h, w), tag (B, 1, h, w), regr (B, 2, h, w)")
