"""The losses of the detection task as NNabla graphs, in as few passes over the heatmap as they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import nnabla as nn
import nnabla.functions as F

from centernet import plugins
from centernet.errors import ConfigError
from centernet.models.specs import Layout
from centernet.tasks._keypoints.losses import at_cells, focal_loss, mean_over_stacks, smooth_l1
from centernet.tasks.ctdet.config import OverlapLoss
from centernet.tasks.ctdet.overlap.losses import overlap_loss

RELATIVE = 1e-4  # cells, added to sizes that errors are divided by, as in the official code


def regression_loss(
    prediction: nn.Variable, target: nn.Variable, indices: nn.Variable, mask: nn.Variable, num_objects: nn.Variable, *, layout: Layout
) -> nn.Variable:
    """L1 loss at the objects' cells (arXiv:1904.07850, equations 2 and 3), mean over the coordinates.

    Args:
        prediction: (B, c, h, w) or (B, h, w, c) by layout, in cells.
        target: (B, m, c), in cells.
        indices: (B, m), cells as row * w + column.
        mask: (B, m), 1 where the row is an object, else 0.
        num_objects: (), the sum of the mask over the *global* batch.

    Returns:
        (), sum of mask * |prediction - target| over this batch, divided by (c num_objects + 1e-4).
    """
    found = at_cells(prediction, indices, layout=layout)
    mask = F.broadcast(F.reshape(mask, (mask.shape[0], 1, -1)), found.shape)
    errors = F.absolute_error(found, F.transpose(target, (0, 2, 1)))
    return F.sum(mask * errors) / (float(found.shape[1]) * num_objects + 1e-4)


def center_losses(
    outputs: Sequence[Mapping[str, nn.Variable]],
    targets: Mapping[str, nn.Variable],
    *,
    layout: Layout,
    heatmap: str = "focal",
    boxes: str = "l1",
    offset: str = "l1",
    relative_size: bool = False,
) -> dict[str, nn.Variable]:
    """The losses of all heads, mean over the network's stacks.

    Args:
        outputs: raw head maps of each stack, as `focal_loss` and `box_loss` take them.
        targets: the entries of `encode_centers`, stacked; its counts are () and global.
        heatmap, boxes, offset: which loss of the heatmap; of `size` or `ltrb`; of `offset`, as `LossConfig` names them.
        relative_size: errors of sizes are divided by the true size.

    Returns:
        heatmap and the other heads' names: () each.
    """
    stacks: list[dict[str, nn.Variable]] = []
    for maps in outputs:
        losses = {"heatmap": heatmap_loss(maps["heatmap"], targets, kind=heatmap, layout=layout)}
        for name in (name for name in ("size", "offset", "ltrb") if name in maps):
            kind = offset if name == "offset" else boxes
            losses[name] = box_loss(name, maps, targets, kind=kind, relative=relative_size and name == "size", layout=layout)
        stacks.append(losses)
    return mean_over_stacks(stacks)


def heatmap_loss(logits: nn.Variable, targets: Mapping[str, nn.Variable], *, kind: str, layout: Layout) -> nn.Variable:
    """`focal_loss`; or quality focal loss, |y - p|^2 times the cross entropy (Li et al. 2020, arXiv:2006.04388, equation 3, beta 2),
    summed and divided by num_peaks; or (y - p)^2, mean over num_cells, all with p the probability and y the target; or `own_errors`
    of logits and target, summed and divided by num_peaks."""
    heatmap = targets["heatmap"]
    if kind == "focal":
        return focal_loss(logits, heatmap, targets["num_peaks"], layout=layout)
    if plugins.is_outside(kind):
        first = F.transpose(logits, (0, 3, 1, 2)) if layout == "nhwc" else logits
        return F.sum(own_errors(kind, first, heatmap, key="heatmap")) / F.maximum_scalar(targets["num_peaks"], 1.0)
    if layout == "nhwc":
        heatmap = F.transpose(heatmap, (0, 2, 3, 1))
    squares = F.pow_scalar(F.sigmoid(logits) - heatmap, 2.0)
    if kind == "mse":
        return F.sum(squares) / F.maximum_scalar(targets["num_cells"], 1.0)
    is_peak = F.greater_equal_scalar(heatmap, 1.0)  # NNabla's function takes 0 and 1 only
    entropy = F.sigmoid_cross_entropy(logits, is_peak) - (heatmap - is_peak) * logits
    total = F.affine(F.reshape(squares, (1, -1)), F.reshape(entropy, (-1, 1)))  # as in `focal_loss`
    return F.reshape(total, ()) / F.maximum_scalar(targets["num_peaks"], 1.0)


def box_loss(
    name: str, maps: Mapping[str, nn.Variable], targets: Mapping[str, nn.Variable], *, kind: str, relative: bool, layout: Layout
) -> nn.Variable:
    """The loss of one head that says something of boxes, wherever its targets are.

    l1: mean over channels, see `regression_loss`. smooth_l1: summed over channels, divided by the objects or weights + 1e-4, as
    the official code does; `own_errors` too. iou, giou, diou, ciou: of boxes decoded from all heads, see `overlap_loss`, divided so.

    Args:
        name: of the head: size, offset or ltrb.
        maps: raw, (B, c, h, w) or (B, h, w, c) by layout, in cells; c is that of the target, or for size C times as much: a size for
            each class.
        targets: as of `center_losses`.
        relative: errors are divided by the target.

    Returns:
        (), the sum over this batch, divided by the global count.
    """
    target = targets[name]
    is_shared = maps[name].shape[1 if layout == "nchw" else 3] == target.shape[2 if target.ndim == 3 else 1]
    if target.ndim == 3 and kind == "l1" and is_shared and not relative:
        return regression_loss(maps[name], target, targets["indices"], targets["mask"], targets["num_objects"], layout=layout)
    place = _place(targets, at_centers=target.ndim == 3, layout=layout)
    found, wanted = place.found(maps[name]), place.wanted(target)
    if not is_shared:
        found = _of_own_class(found, targets["class_ids"])
    if kind in ("l1", "smooth_l1") or plugins.is_outside(kind):
        if relative:
            found, wanted = found / (wanted + RELATIVE), 0.0 * wanted + 1.0  # no F.constant: its array has no type to look at
        channels = wanted.shape[1]
        errors = _errors(kind, found, wanted, key="offset" if name == "offset" else "boxes")
        total = place.total * channels if kind == "l1" else place.total
        return F.sum(F.broadcast(place.weights, errors.shape) * errors) / (total + 1e-4)
    if name == "size":
        offset, true_offset = place.found(maps["offset"]), place.wanted(targets["offset"])
        found, wanted = _decoded(found, offset), _decoded(wanted, true_offset)
    else:
        found, wanted = _from_distances(found), _from_distances(wanted)
    return F.sum(place.weights * overlap_loss(found, wanted, kind=cast(OverlapLoss, kind))) / (place.total + 1e-4)


def _errors(kind: str, found: nn.Variable, wanted: nn.Variable, *, key: str) -> nn.Variable:
    """Of every number."""
    if kind == "l1":
        return F.absolute_error(found, wanted)
    return smooth_l1(found, wanted) if kind == "smooth_l1" else own_errors(kind, found, wanted, key=key)


def own_errors(name: str, prediction: nn.Variable, target: nn.Variable, *, key: str) -> nn.Variable:
    """What a function of the user's own, `module:name`, says of every number: it is called with both, and does no more than that.

    Weighting, summing and dividing by the counts of the global batch are done here, so that it trains alike on any number of
    processes.

    Args:
        name: of the function. key: where in `task.loss` it was named.
        prediction: (B, C, h, w) logits of the heatmap; or (B, c, n), what a head says in n cells, in cells. target: the same shape;
            the heatmap in [0, 1]; takes no gradient.

    Raises:
        ConfigError: the function returns something else than a variable of that shape.
    """
    found = plugins.outside(name, kind="losses")(prediction, target)
    shape = tuple(found.shape) if isinstance(found, nn.Variable) else type(found).__name__
    if shape != tuple(prediction.shape):
        expected = f"a variable of shape {tuple(prediction.shape)}: each number's error"
        raise ConfigError(f"task.loss.{key}: '{name}' returned {shape}, expected {expected}")
    return found


@dataclass(frozen=True)
class _Place:
    """Which n cells are looked at, and how much each counts: weights (B, 1, n), their global sum (), indices (B, n) or None: all cells."""

    weights: nn.Variable
    total: nn.Variable
    indices: nn.Variable | None
    layout: Layout

    def found(self, maps: nn.Variable) -> nn.Variable:
        """(B, c, n) of a head's maps."""
        if self.indices is not None:
            return at_cells(maps, self.indices, layout=self.layout)
        if self.layout == "nhwc":
            maps = F.transpose(maps, (0, 3, 1, 2))
        return F.reshape(maps, (*maps.shape[:2], -1))

    def wanted(self, target: nn.Variable) -> nn.Variable:
        """(B, c, n) of an entry of the targets."""
        return F.transpose(target, (0, 2, 1)) if target.ndim == 3 else F.reshape(target, (*target.shape[:2], -1))


def _place(targets: Mapping[str, nn.Variable], *, at_centers: bool, layout: Layout) -> _Place:
    """The objects' cells, each counting 1, or all cells with their weights."""
    weights = targets["mask" if at_centers else "weights"]
    total = targets["num_objects" if at_centers else "total_weight"]
    return _Place(F.reshape(weights, (weights.shape[0], 1, -1)), total, targets["indices"] if at_centers else None, layout)


def _of_own_class(sizes: nn.Variable, class_ids: nn.Variable) -> nn.Variable:
    """(B, 2C, n), width and height for each class, to the (B, 2, n) of the objects' classes."""
    batch, channels, rows = sizes.shape
    own = F.one_hot(F.reshape(class_ids, (batch, rows, 1)), (channels // 2,))
    own = F.broadcast(F.reshape(F.transpose(own, (0, 2, 1)), (batch, -1, 1, rows)), (batch, channels // 2, 2, rows))
    return F.sum(own * F.reshape(sizes, own.shape), axis=1)


def _decoded(size: nn.Variable, offset: nn.Variable) -> nn.Variable:
    """Boxes (B, 4, n) left, top, right, bottom in cells, seen from their cells' corners."""
    return F.concatenate(offset - 0.5 * size, offset + 0.5 * size, axis=1)


def _from_distances(distances: nn.Variable) -> nn.Variable:
    """The same, seen from their cells' middles."""
    return F.concatenate(-1.0 * distances[:, :2], distances[:, 2:], axis=1)
