"""One minus the overlap of two boxes, in its four published forms, as NNabla graphs."""

from __future__ import annotations

import math

import nnabla as nn
import nnabla.functions as F

from centernet.tasks.ctdet.config import OverlapLoss

# Squared units of the boxes, below what any two boxes that are compared here span: keeps quotients finite, changes none.
SMALLEST = 1e-7


def overlap_loss(boxes: nn.Variable, targets: nn.Variable, *, kind: OverlapLoss) -> nn.Variable:
    """1 - IoU, GIoU (Rezatofighi et al. 2019, arXiv:1902.09630, algorithm 1), DIoU or CIoU (Zheng et al. 2020, arXiv:1911.08287,
    equations 7, 8 and 10), box by box.

    A box whose sides are in the wrong order has no area. In CIoU the weight of the aspect ratio gets no gradient, as in the paper's code.

    Args:
        boxes, targets: (B, 4, n) left, top, right, bottom in any unit, targets in this order.

    Returns:
        (B, 1, n): IoU in [0, 1], GIoU in [0, 2], DIoU in [0, 2], CIoU in [0, 3].
    """
    left, top, right, bottom = _sides(boxes)
    true_left, true_top, true_right, true_bottom = _sides(targets)
    width, height = F.relu(right - left), F.relu(bottom - top)
    true_width, true_height = true_right - true_left, true_bottom - true_top
    shared_width = F.relu(F.minimum2(right, true_right) - F.maximum2(left, true_left))
    shared_height = F.relu(F.minimum2(bottom, true_bottom) - F.maximum2(top, true_top))
    shared = shared_width * shared_height
    union = F.maximum_scalar(width * height + true_width * true_height - shared, SMALLEST)
    iou = shared / union
    if kind == "iou":
        return 1.0 - iou
    hull_width = F.maximum2(right, true_right) - F.minimum2(left, true_left)
    hull_height = F.maximum2(bottom, true_bottom) - F.minimum2(top, true_top)
    if kind == "giou":
        hull = F.maximum_scalar(hull_width * hull_height, SMALLEST)
        return 2.0 - iou - F.minimum_scalar(union / hull, 1.0)
    across, down = left + right - true_left - true_right, top + bottom - true_top - true_bottom
    diagonal = F.maximum_scalar(_square(hull_width) + _square(hull_height), SMALLEST)
    distance = (_square(across) + _square(down)) * 0.25 / diagonal
    if kind == "diou":
        return 1.0 - iou + distance
    aspect = _square(_angle(true_width, true_height) - _angle(width, height)) * (4 / math.pi**2)
    weight = aspect / F.maximum_scalar(1.0 - iou + aspect, SMALLEST)
    weight.need_grad = False
    return 1.0 - iou + distance + weight * aspect


def _sides(boxes: nn.Variable) -> tuple[nn.Variable, ...]:
    return tuple(boxes[:, side : side + 1] for side in range(4))


def _square(x: nn.Variable) -> nn.Variable:
    return F.pow_scalar(x, 2.0)


def _angle(width: nn.Variable, height: nn.Variable) -> nn.Variable:
    return F.atan(width / F.maximum_scalar(height, SMALLEST))
