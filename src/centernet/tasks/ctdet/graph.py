"""Decoding as a part of the network, made of functions that every exporter knows."""

from __future__ import annotations

from collections.abc import Mapping

import nnabla as nn
import nnabla.functions as F

from centernet.models.specs import Layout

# Added to what is not a maximum: its sigmoid is exactly 0, and it is within the range of half precision.
SUPPRESSED_LOGIT = -1e4


def decode_graph(outputs: Mapping[str, nn.Variable], *, k: int, stride: int, layout: Layout) -> dict[str, nn.Variable]:
    """`decode.decode_centers` as a graph.

    The best k are chosen per class and then among all classes: no index grows beyond what a float32 can hold.

    Args:
        outputs: raw maps, (B, c, h, w) or (B, h, w, c) by layout: heatmap logits; size and offset in cells.
        stride: input pixels per heatmap cell.
        k: number of detections, 1 <= k <= C*h*w.

    Returns:
        boxes: (B, k, 4) xyxy in network-input pixels. scores: (B, k) in [0, 1], best first. class_ids: (B, k), whole
        numbers in [0, C). Where an image has fewer than k maxima, the rest have score 0 and any cell.

    Raises:
        ValueError: k is out of range.
    """
    heatmap = outputs["heatmap"] if layout == "nchw" else F.transpose(outputs["heatmap"], (0, 3, 1, 2))
    batch, classes, rows, columns = heatmap.shape
    if not 1 <= k <= classes * rows * columns:
        raise ValueError(f"k is {k}, expected 1 to {classes * rows * columns}, the cells of {classes} heatmaps of {rows}x{columns}")
    # Sums only: on NNabla's CPU a product or comparison of two maps takes twenty times as long as their sum.
    below_highest = F.max_pooling(heatmap, (3, 3), stride=(1, 1), pad=(1, 1)) + (-1.0) * heatmap
    logits = heatmap + SUPPRESSED_LOGIT * F.greater_scalar(below_highest, 0.0)

    per_class = min(k, rows * columns)
    logits, cells = F.top_k_data(F.reshape(logits, (batch, classes, -1)), per_class, base_axis=2, with_index=True)
    logits, places = F.top_k_data(F.reshape(logits, (batch, classes * per_class)), k, base_axis=1, with_index=True)
    cells = F.gather(F.reshape(cells, (batch, classes * per_class)), places, axis=1, batch_dims=1)

    y = _whole_quotient(cells, columns)
    x = cells - y * columns
    corner = F.concatenate(F.reshape(x, (batch, k, 1)), F.reshape(y, (batch, k, 1)), axis=2)
    center = corner + _at(outputs["offset"], cells, layout)
    half = _at(outputs["size"], cells, layout) * 0.5
    boxes = F.concatenate(center - half, center + half, axis=2) * float(stride)
    return {"boxes": boxes, "scores": F.sigmoid(logits), "class_ids": _whole_quotient(places, per_class)}


def _at(maps: nn.Variable, cells: nn.Variable, layout: Layout) -> nn.Variable:
    """The pairs (B, k, 2) at the cells (B, k) of a regression head's maps."""
    if layout == "nchw":
        maps = F.transpose(maps, (0, 2, 3, 1))
    return F.gather(F.reshape(maps, (maps.shape[0], -1, maps.shape[3])), cells, axis=1, batch_dims=1)


def _whole_quotient(numbers: nn.Variable, divisor: int) -> nn.Variable:
    """Whole numbers divided and rounded down; the half keeps a rounded reciprocal from falling one short."""
    return F.floor((numbers + 0.5) * (1.0 / divisor))
