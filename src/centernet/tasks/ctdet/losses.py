"""The losses of the detection task as NNabla graphs, in as few passes over the heatmap as they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import nnabla as nn
import nnabla.functions as F

from centernet.models.specs import Layout


def focal_loss(logits: nn.Variable, heatmap: nn.Variable, num_peaks: nn.Variable, *, layout: Layout) -> nn.Variable:
    """Penalty-reduced focal loss (arXiv:1904.07850, equation 1, alpha 2, beta 4).

    With q the probability given to the wrong answer, both branches of the equation are
    `weight * q^2 * -log(1 - q)`, where the weight is 1 at peaks and (1 - heatmap)^4 elsewhere. Weight and q^2 are
    multiplied as a sum of logarithms, and the rest as an inner product: NNabla multiplies two maps on the CPU thirty
    times slower than it adds them. Nothing here overflows, whatever the logits.

    Args:
        logits: (B, C, h, w) or (B, h, w, C) by layout, before the sigmoid.
        heatmap: (B, C, h, w) in [0, 1], the target.
        num_peaks: (), cells of the *global* batch whose target is 1; 0 counts as 1.

    Returns:
        (), the sum over this batch, divided by num_peaks.
    """
    if layout == "nhwc":
        heatmap = F.transpose(heatmap, (0, 2, 3, 1))
    is_peak = F.greater_equal_scalar(heatmap, 1.0)
    log_weight = 4.0 * F.log(1.0 - heatmap + is_peak)
    log_wrong = -1.0 * F.sigmoid_cross_entropy(logits, 1.0 - is_peak)
    minus_log_right = F.sigmoid_cross_entropy(logits, is_peak)
    factor = F.exp(log_weight + 2.0 * log_wrong)
    total = F.affine(F.reshape(factor, (1, -1)), F.reshape(minus_log_right, (-1, 1)))
    return F.reshape(total, ()) / F.maximum_scalar(num_peaks, 1.0)


def regression_loss(
    prediction: nn.Variable, target: nn.Variable, indices: nn.Variable, mask: nn.Variable, num_objects: nn.Variable, *, layout: Layout
) -> nn.Variable:
    """L1 loss at the objects' cells (arXiv:1904.07850, equations 2 and 3), mean over both coordinates.

    Args:
        prediction: (B, 2, h, w) or (B, h, w, 2) by layout, in cells.
        target: (B, m, 2), in cells.
        indices: (B, m), cells as row * w + column.
        mask: (B, m), 1 where the row is an object, else 0.
        num_objects: (), the sum of the mask over the *global* batch.

    Returns:
        (), sum of mask * |prediction - target| over this batch, divided by (2 num_objects + 1e-4).
    """
    batch, objects, _ = target.shape
    if layout == "nhwc":
        found = F.gather(F.reshape(prediction, (batch, -1, 2)), indices, axis=1, batch_dims=1)
        mask = F.broadcast(F.reshape(mask, (batch, objects, 1)), found.shape)
    else:  # gathering along the last axis spares a transposed copy of the map and of its gradient
        found = F.gather(F.reshape(prediction, (batch, 2, -1)), indices, axis=2, batch_dims=1)
        target = F.transpose(target, (0, 2, 1))
        mask = F.broadcast(F.reshape(mask, (batch, 1, objects)), found.shape)
    return F.sum(mask * F.absolute_error(found, target)) / (2.0 * num_objects + 1e-4)


def center_losses(
    outputs: Sequence[Mapping[str, nn.Variable]], targets: Mapping[str, nn.Variable], *, layout: Layout
) -> dict[str, nn.Variable]:
    """The three losses, mean over the network's stacks.

    Args:
        outputs: raw head maps of each stack, as `focal_loss` and `regression_loss` take them.
        targets: the entries of `encode_centers`, stacked; num_peaks and num_objects are () and global.

    Returns:
        heatmap, size, offset: () each.
    """
    stacks: list[dict[str, nn.Variable]] = []
    for maps in outputs:
        losses = {"heatmap": focal_loss(maps["heatmap"], targets["heatmap"], targets["num_peaks"], layout=layout)}
        for name in ("size", "offset"):
            losses[name] = regression_loss(
                maps[name], targets[name], targets["indices"], targets["mask"], targets["num_objects"], layout=layout
            )
        stacks.append(losses)
    if len(stacks) == 1:
        return stacks[0]
    return {name: F.mul_scalar(F.add_n(*(losses[name] for losses in stacks)), 1.0 / len(stacks)) for name in stacks[0]}
