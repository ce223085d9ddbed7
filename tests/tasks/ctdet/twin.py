"""The losses of ctdet once more, cell by cell and object by object; the contract tests compare with it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from centernet.structures import Array


def losses(outputs: Mapping[str, Array], targets: Mapping[str, Array]) -> dict[str, float]:
    """outputs: raw NCHW maps of one stack; targets: a batch, with its counts already summed."""
    return {
        "heatmap": focal(outputs["heatmap"], targets["heatmap"], float(targets["num_peaks"])),
        "size": regression(outputs["size"], targets["size"], targets),
        "offset": regression(outputs["offset"], targets["offset"], targets),
    }


def focal(logits: Array, heatmap: Array, num_peaks: float) -> float:
    total = 0.0
    for logit, target in zip(logits.ravel().tolist(), heatmap.ravel().tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        if target == 1:
            total -= (1 - p) ** 2 * math.log(p)
        else:
            total -= (1 - target) ** 4 * p**2 * math.log(1 - p)
    return total / max(num_peaks, 1)


def regression(maps: Array, target: Array, targets: Mapping[str, Array]) -> float:
    total = 0.0
    for image, object_ in zip(*np.nonzero(targets["mask"]), strict=True):
        y, x = divmod(int(targets["indices"][image, object_]), maps.shape[3])
        total += float(np.abs(maps[image, :, y, x].astype(float) - target[image, object_]).sum())
    return total / (2 * float(targets["num_objects"]) + 1e-4)
