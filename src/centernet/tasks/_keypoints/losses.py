"""Losses of heatmaps, and of what is said in the cells of their peaks, as NNabla graphs."""

from __future__ import annotations

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


def at_cells(maps: nn.Variable, indices: nn.Variable, *, layout: Layout) -> nn.Variable:
    """(B, c, m), what a head says in some cells; gathering spares a transposed copy of its maps and of their gradient.

    Args:
        maps: (B, c, h, w) or (B, h, w, c) by layout.
        indices: (B, m), cells as row * w + column.
    """
    if layout == "nchw":
        return F.gather(F.reshape(maps, (*maps.shape[:2], -1)), indices, axis=2, batch_dims=1)
    batch, _, _, channels = maps.shape
    return F.transpose(F.gather(F.reshape(maps, (batch, -1, channels)), indices, axis=1, batch_dims=1), (0, 2, 1))


def smooth_l1(found: nn.Variable, wanted: nn.Variable) -> nn.Variable:
    """Of every number: half the squared error where that is below 1, else the error minus a half (Girshick 2015, Fast R-CNN,
    arXiv:1504.08083, equation 3)."""
    return 0.5 * F.huber_loss(found, wanted)


def mean_over_stacks(stacks: list[dict[str, nn.Variable]]) -> dict[str, nn.Variable]:
    """The losses of each of a network's stacks, () by name, as one."""
    if len(stacks) == 1:
        return stacks[0]
    return {name: F.mul_scalar(F.add_n(*(losses[name] for losses in stacks)), 1.0 / len(stacks)) for name in stacks[0]}
