"""What the heads would say if they knew one thing perfectly: to see what their mistakes cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from centernet.geometry.nearest import away_from, nearest_place
from centernet.structures import Array
from centernet.tasks._keypoints.targets import ideal_logits
from centernet.tasks.triplet.targets import BACKGROUND_TAGS, CORNERS, POINTS, TAG_STEP


def perfect_heads(targets: Mapping[str, Array], *, cells: tuple[int, int]) -> dict[str, dict[str, Array]]:
    """The perfect maps of one image, by what they say: corners, centers, embeddings, offsets.

    A peak need not be in the right cell: in the cells beside a keypoint's, and as far as its target reaches, embedding and offset are
    those of the object whose keypoint of that kind is nearest, and the offset leads to it. Elsewhere no two embeddings are near
    each other, so that corners on the background make no pair.

    Args:
        targets: one image's entries of `targets.encode_triplets`.
        cells: (h, w) of the heatmaps.

    Returns:
        Maps (1, c, h, w) float32 by head, as `decode.decode_triplets` takes them.
    """
    is_object = targets["mask"] > 0
    tags, offsets = {}, {}
    for point in POINTS:
        tag, offset = np.full((1, *cells), BACKGROUND_TAGS.get(point, 0.0)), np.zeros((2, *cells))
        if is_object.any():
            rows, columns = np.divmod(targets[f"{point}_indices"][is_object], cells[1])
            places = np.stack([columns, rows], axis=1)
            nearest = nearest_place(places, cells=cells)
            away = away_from(places, nearest)
            is_near = (targets[f"{point}_heat"] > 0).any(axis=0) | (np.abs(away) <= 1).all(axis=0)
            tag = np.where(is_near, TAG_STEP * (nearest + 1), tag)
            offset = targets[f"{point}_offset"][is_object][nearest].transpose(2, 0, 1) - is_near * away
        tags[point], offsets[f"{point}_regr"] = tag[None].astype(np.float32), offset[None].astype(np.float32)
    # With peaks that fall off, no cell beside one is the highest of its neighbourhood.
    heats = {point: ideal_logits(targets[f"{point}_heat"], certain=False)[None] for point in POINTS}
    return {
        "corners": {f"{point}_heat": heats[point] for point in CORNERS},
        "centers": {f"{point}_heat": heats[point] for point in POINTS if point not in CORNERS},
        "embeddings": {f"{point}_tag": tags[point] for point in CORNERS},
        "offsets": offsets,
    }
