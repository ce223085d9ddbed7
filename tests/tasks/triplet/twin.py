"""The losses of triplet once more, cell by cell and object by object; the contract tests compare with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from centernet.structures import Array
from centernet.tasks.triplet.config import Config

# Configurations that the contracts hold for besides the default one.
VARIANTS: Mapping[str, Mapping[str, object]] = {"wide": {"radius": "cornernet", "min_overlap": 0.5, "max_objects": 5}}


def losses(outputs: Mapping[str, Array], targets: Mapping[str, Array], config: Config) -> dict[str, float]:
    """outputs: raw NCHW maps of one stack; targets: a batch, with its counts already summed."""
    images = range(len(targets["mask"]))
    share = 6 / float(targets["num_images"])
    return {
        "heatmap": sum(focal(outputs[f"{p}_heat"], targets[f"{p}_heat"], float(targets[f"num_{p}_peaks"])) for p in ("tl", "br", "ct")),
        "pull": share * sum(pull(list(embeddings(image, outputs, targets))) for image in images),
        "push": share * sum(push(list(embeddings(image, outputs, targets))) for image in images),
        "offset": sum(offsets(p, outputs, targets) for p in ("tl", "br", "ct")) / (float(targets["num_objects"]) + 1e-4),
    }


def focal(logits: Array, heatmap: Array, num_peaks: float) -> float:
    total = 0.0
    for logit, target in zip(logits.ravel().tolist(), heatmap.ravel().tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        total -= (1 - p) ** 2 * math.log(p) if target == 1 else (1 - target) ** 4 * p**2 * math.log(1 - p)
    return total / max(num_peaks, 1)


def said(name: str, point: str, image: int, row: int, outputs: Mapping[str, Array], targets: Mapping[str, Array]) -> list[float]:
    """What a head says where the row's keypoint is."""
    y, x = divmod(int(targets[f"{point}_indices"][image, row]), outputs[name].shape[3])
    values: list[float] = outputs[name][image, :, y, x].tolist()
    return values


def embeddings(image: int, outputs: Mapping[str, Array], targets: Mapping[str, Array]) -> Iterator[tuple[float, float]]:
    """Those of the top left and the bottom right corner of every object."""
    for row in targets["mask"][image].nonzero()[0]:
        (first,), (second,) = (said(f"{point}_tag", point, image, row, outputs, targets) for point in ("tl", "br"))
        yield first, second


def pull(pairs: list[tuple[float, float]]) -> float:
    total = sum((tag - (first + second) / 2) ** 2 for first, second in pairs for tag in (first, second))
    return total / (len(pairs) + 1e-4)


def push(pairs: list[tuple[float, float]]) -> float:
    means = [(first + second) / 2 for first, second in pairs]
    others = [abs(one - other) for i, one in enumerate(means) for j, other in enumerate(means) if i != j]
    return sum(max(1 - distance, 0) for distance in others) / (len(others) + 1e-4)


def offsets(point: str, outputs: Mapping[str, Array], targets: Mapping[str, Array]) -> float:
    total = 0.0
    for image, row in zip(*targets["mask"].nonzero(), strict=True):
        found = said(f"{point}_regr", point, image, row, outputs, targets)
        for one, other in zip(found, targets[f"{point}_offset"][image, row].tolist(), strict=True):
            error = abs(one - other)
            total += error - 0.5 if error > 1 else error**2 / 2
    return total
