"""All that rounding may make of one image's head maps, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from centernet.structures import Array, Detections, Grid
from centernet.tasks._keypoints.decode import neighbourhood_maximum, sigmoid
from centernet.tasks.triplet.decode import Keypoints, corner_pairs, in_pixels, inside_central_region, keypoints
from centernet.tasks.triplet.targets import POINTS

MORE = 2  # times as many cells of a heatmap as are looked at may be among them after rounding


def possible_triplets(
    outputs: Mapping[str, Array], *, grid: Grid, corners: int, ae_threshold: float, lowest: float, score_slack: float, map_slack: float
) -> Detections:
    """What `decode.decode_triplets` may read off the maps of one image, and off maps that differ from them by rounding.

    A pair of corners is there once for each centre that may be in its central region.

    Args:
        outputs, grid, corners, ae_threshold: as in `decode.decode_triplets`, of one image.
        lowest: score from which detections count.
        score_slack: how far scores may be off, in [0, 1]. map_slack: how far embeddings and, in cells, offsets may be.

    Returns:
        The detections, in no order, boxes xyxy in network-input pixels.
    """
    tl, br, ct = (_near_peaks(outputs, point, most=MORE * corners, slack=score_slack) for point in POINTS)
    pairs = corner_pairs(tl, br, ae_threshold=ae_threshold, limit=len(tl.scores) * len(br.scores), slack=map_slack)
    boxes = in_pixels(pairs.boxes, grid)
    is_inside = inside_central_region(boxes, in_pixels(ct.points, grid), margin=2 * map_slack * grid.stride)
    pair, center = np.nonzero(is_inside & (pairs.class_ids[:, None] == ct.class_ids))
    found = Detections(boxes[pair], (2 * pairs.scores[pair] + ct.scores[center]) / 3, pairs.class_ids[pair])
    return found.above(lowest)


def _near_peaks(outputs: Mapping[str, Array], point: str, *, most: int, slack: float) -> Keypoints:
    """The best cells whose scores are no more than `slack` below the highest of their neighbourhoods, at most so many."""
    scores = sigmoid(outputs[f"{point}_heat"][0])
    cells = np.flatnonzero(scores >= neighbourhood_maximum(scores) - slack)
    best = cells[np.argsort(-scores.reshape(-1)[cells], kind="stable")[:most]]
    return keypoints(outputs, point, 0, cells=best)
