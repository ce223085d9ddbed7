"""Heatmaps as targets: how far peaks reach, taking them off again, and what a perfect network would answer."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from centernet.structures import Array, Sample

RadiusFunction = Callable[[float, float, float], float]  # height, width, min_overlap -> radius, in cells

# As a probability indistinguishable from 0 and 1 in float32, yet finite: the logit of an ideal heatmap.
CERTAIN_LOGIT = 30.0


def class_ids_of(sample: Sample, *, num_classes: int, max_objects: int) -> list[int]:
    """The class ids of a sample's first `max_objects` objects.

    Raises:
        ValueError: one of them is not in [0, num_classes).
    """
    class_ids: list[int] = sample.class_ids[:max_objects].tolist()
    if class_ids and (min(class_ids) < 0 or max(class_ids) >= num_classes):
        raise ValueError(f"{sample.name or 'sample'}: class ids {min(class_ids)}..{max(class_ids)}, expected 0..{num_classes - 1}")
    return class_ids


def whole_radius(radius: RadiusFunction, height: float, width: float, min_overlap: float) -> int:
    """A radius in whole cells, >= 0: of the sides in cells, rounded up; itself rounded down."""
    return max(0, int(radius(math.ceil(height), math.ceil(width), min_overlap)))


def erase_peaks(heatmap: Array, indices: Array) -> None:
    """Set a heatmap back to zero, in place: the channels with a peak, since most of it is zero already.

    Args:
        heatmap: (C, h, w).
        indices: (n,), the cells of all peaks that were drawn, as row * w + column.
    """
    rows, columns = np.divmod(indices, heatmap.shape[2])
    for channel in np.flatnonzero((heatmap[:, rows, columns] == 1).any(axis=1)):
        heatmap[channel] = 0


def ideal_logits(heatmap: Array, *, certain: bool = True) -> Array:
    """Float32 logits of a perfect answer to a heatmap in [0, 1], of any shape.

    certain: sure of every cell, as the focal loss wants it; else as sure as the target.
    """
    if certain:
        return np.where(heatmap >= 1, CERTAIN_LOGIT, -CERTAIN_LOGIT).astype(np.float32)
    probabilities = heatmap.astype(np.float64)
    with np.errstate(divide="ignore"):
        logits = np.clip(np.log(probabilities) - np.log1p(-probabilities), -CERTAIN_LOGIT, CERTAIN_LOGIT)
    return np.asarray(logits, np.float32)
