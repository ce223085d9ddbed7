"""The losses of ctdet once more, cell by cell and object by object; the contract tests compare with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from centernet.structures import Array
from centernet.tasks.ctdet import Config

# Configurations that the contracts hold for besides the default one; together they have every choice.
VARIANTS: Mapping[str, Mapping[str, object]] = {
    "ttfnet": {"radius": "ttf", "boxes": {"form": "ltrb", "at": "gaussian"}, "loss": {"boxes": "giou"}},
    "ltrb": {"radius": "cornernet_fixed", "boxes": {"form": "ltrb"}, "loss": {"heatmap": "mse"}},
    "smooth": {"radius": "fixed", "boxes": {"at": "gaussian"}, "loss": {"boxes": "smooth_l1", "offset": "smooth_l1"}},
    "overlap": {"boxes": {"at": "3x3"}, "loss": {"heatmap": "quality_focal", "boxes": "iou"}},
    "diou": {"boxes": {"form": "ltrb", "at": "3x3"}, "loss": {"boxes": "diou"}},
    "ciou": {"loss": {"boxes": "ciou"}},
    "dense": {"boxes": {"at": "heatmap"}},
    "per_class": {"boxes": {"per_class": True}, "loss": {"boxes": "smooth_l1"}},
}


def losses(outputs: Mapping[str, Array], targets: Mapping[str, Array], config: Config) -> dict[str, float]:
    """outputs: raw NCHW maps of one stack; targets: a batch, with its counts already summed."""
    kinds = config.loss
    of_heatmap = {"focal": focal, "quality_focal": quality_focal, "mse": squares}[kinds.heatmap]
    found = {"heatmap": of_heatmap(outputs["heatmap"], targets)}
    if config.boxes.form == "ltrb":
        return found | {"ltrb": regression("ltrb", kinds.boxes, outputs, targets)}
    size = regression("size", kinds.boxes, outputs, targets, relative=kinds.relative_size)
    return found | {"size": size, "offset": regression("offset", kinds.offset, outputs, targets)}


def pairs(logits: Array, targets: Mapping[str, Array]) -> Iterator[tuple[float, float, float]]:
    """(logit, probability, target) of every cell."""
    for logit, target in zip(logits.ravel().tolist(), targets["heatmap"].ravel().tolist(), strict=True):
        yield logit, 1 / (1 + math.exp(-logit)), target


def focal(logits: Array, targets: Mapping[str, Array]) -> float:
    total = 0.0
    for _, p, target in pairs(logits, targets):
        if target == 1:
            total -= (1 - p) ** 2 * math.log(p)
        else:
            total -= (1 - target) ** 4 * p**2 * math.log(1 - p)
    return total / max(float(targets["num_peaks"]), 1)


def quality_focal(logits: Array, targets: Mapping[str, Array]) -> float:
    total = sum(-((y - p) ** 2) * (y * math.log(p) + (1 - y) * math.log(1 - p)) for _, p, y in pairs(logits, targets))
    return total / max(float(targets["num_peaks"]), 1)


def squares(logits: Array, targets: Mapping[str, Array]) -> float:
    return sum((y - p) ** 2 for _, p, y in pairs(logits, targets)) / max(float(targets["num_cells"]), 1)


def places(
    name: str, outputs: Mapping[str, Array], targets: Mapping[str, Array]
) -> Iterator[tuple[float, dict[str, list[float]], list[float]]]:
    """(weight, what every head says there, what `name` should say) wherever something is learnt."""
    if targets[name].ndim == 4:
        for image, y, x in zip(*np.nonzero(targets["weights"]), strict=True):
            said = {head: maps[image, :, y, x].tolist() for head, maps in outputs.items()}
            yield float(targets["weights"][image, y, x]), said, targets[name][image, :, y, x].tolist()
        return
    for image, row in zip(*np.nonzero(targets["mask"]), strict=True):
        y, x = divmod(int(targets["indices"][image, row]), outputs["heatmap"].shape[3])
        said = {head: maps[image, :, y, x].tolist() for head, maps in outputs.items()}
        if "class_ids" in targets:
            first = 2 * int(targets["class_ids"][image, row])
            said["size"] = said["size"][first : first + 2]
        yield 1.0, said, targets[name][image, row].tolist()


def regression(name: str, kind: str, outputs: Mapping[str, Array], targets: Mapping[str, Array], *, relative: bool = False) -> float:
    count = float(targets["num_objects" if targets[name].ndim == 3 else "total_weight"])
    if kind not in ("l1", "smooth_l1"):
        return overlaps(name, kind, outputs, targets) / (count + 1e-4)
    total, channels = 0.0, 0
    for weight, said, wanted in places(name, outputs, targets):
        channels = len(wanted)
        for one, other in zip(said[name], wanted, strict=True):
            error = abs(one / (other + 1e-4) - 1) if relative else abs(one - other)
            total += weight * (error if kind == "l1" or error > 1 else error**2)
            if kind == "smooth_l1":
                total -= weight * (0.5 if error > 1 else error**2 / 2)
    return total / (channels * count + 1e-4) if kind == "l1" else total / (count + 1e-4)


def overlaps(name: str, kind: str, outputs: Mapping[str, Array], targets: Mapping[str, Array]) -> float:
    total = 0.0
    if name == "ltrb":
        for weight, said, (left, top, right, bottom) in places(name, outputs, targets):
            a, b, c, d = said["ltrb"]
            total += weight * distance([-a, -b, c, d], [-left, -top, right, bottom], kind)
        return total
    for (weight, said, size), (_, _, offset) in zip(places("size", outputs, targets), places("offset", outputs, targets), strict=True):
        total += weight * distance(corners(said["offset"], said["size"]), corners(offset, size), kind)
    return total


def corners(center: list[float], size: list[float]) -> list[float]:
    return [*(c - s / 2 for c, s in zip(center, size, strict=True)), *(c + s / 2 for c, s in zip(center, size, strict=True))]


def distance(box: list[float], other: list[float], kind: str, weight_of_aspect: Callable[[float, float], float] | None = None) -> float:
    """One minus the overlap of two boxes (left, top, right, bottom), the second in this order."""
    width, height = max(box[2] - box[0], 0), max(box[3] - box[1], 0)
    true_width, true_height = other[2] - other[0], other[3] - other[1]
    shared = max(min(box[2], other[2]) - max(box[0], other[0]), 0) * max(min(box[3], other[3]) - max(box[1], other[1]), 0)
    union = width * height + true_width * true_height - shared
    iou = shared / union
    across, down = max(box[2], other[2]) - min(box[0], other[0]), max(box[3], other[3]) - min(box[1], other[1])
    if kind == "iou":
        return 1 - iou
    if kind == "giou":
        return 1 - (iou - (across * down - union) / (across * down))
    apart = ((box[0] + box[2] - other[0] - other[2]) / 2) ** 2 + ((box[1] + box[3] - other[1] - other[3]) / 2) ** 2
    diou = 1 - iou + apart / (across**2 + down**2)
    if kind == "diou":
        return diou
    aspect = 4 / math.pi**2 * (math.atan(true_width / true_height) - math.atan(width / max(height, 1e-7))) ** 2
    weight = aspect / (1 - iou + aspect) if weight_of_aspect is None else weight_of_aspect(iou, aspect)
    return diou + weight * aspect
