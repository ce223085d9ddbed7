"""Decoding as a part of the network, made of functions that every exporter knows."""

from __future__ import annotations

from collections.abc import Mapping

import nnabla as nn
import nnabla.functions as F

from centernet.models.specs import Layout

# Added to what is not a maximum: its sigmoid is exactly 0, and it is within the range of half precision.
SUPPRESSED_LOGIT = -1e4


def decode_graph(
    outputs: Mapping[str, nn.Variable], *, k: int, stride: int, layout: Layout, flipped: bool = False
) -> dict[str, nn.Variable]:
    """`decode.decode_centers` as a graph; after `decode.merge_flipped` where the maps are also of mirror images.

    The best k are chosen per class and then among all classes: no index grows beyond what a float32 can hold.

    Args:
        outputs: raw maps, (B, c, h, w) or (B, h, w, c) by layout: heatmap logits; size and offset in cells.
        stride: input pixels per heatmap cell.
        k: number of detections, 1 <= k <= C*h*w.
        flipped: the second half of the batch are the mirror images of the first; B below is that of the first.

    Returns:
        boxes: (B, k, 4) xyxy in network-input pixels. scores: (B, k) in [0, 1], best first. class_ids: (B, k), whole
        numbers in [0, C). Where an image has fewer than k maxima, the rest have score 0 and any cell.

    Raises:
        ValueError: k is out of range, or an odd number of images cannot be images and their mirror images.
    """
    outputs = _merge_flipped(outputs, layout) if flipped else outputs
    heatmap = outputs["heatmap"] if layout == "nchw" else F.transpose(outputs["heatmap"], (0, 3, 1, 2))
    batch, classes, rows, columns = heatmap.shape
    if not 1 <= k <= classes * rows * columns:
        raise ValueError(f"k is {k}, expected 1 to {classes * rows * columns}, the cells of {classes} heatmaps of {rows}x{columns}")
    # Sums only: on NNabla's CPU a product or comparison of two maps takes twenty times as long as their sum.
    below_highest = F.max_pooling(heatmap, (3, 3), stride=(1, 1), pad=(1, 1)) + (-1.0) * heatmap
    values = heatmap + SUPPRESSED_LOGIT * F.greater_scalar(below_highest, 0.0)

    per_class = min(k, rows * columns)
    values, cells = F.top_k_data(F.reshape(values, (batch, classes, -1)), per_class, base_axis=2, with_index=True)
    values, places = F.top_k_data(F.reshape(values, (batch, classes * per_class)), k, base_axis=1, with_index=True)
    cells = F.gather(F.reshape(cells, (batch, classes * per_class)), places, axis=1, batch_dims=1)

    y = _whole_quotient(cells, columns)
    x = cells - y * columns
    corner = F.concatenate(F.reshape(x, (batch, k, 1)), F.reshape(y, (batch, k, 1)), axis=2)
    center = corner + _at(outputs["offset"], cells, layout)
    half = _at(outputs["size"], cells, layout) * 0.5
    scores = F.maximum_scalar(values, 0.0) if flipped else F.sigmoid(values)
    boxes = F.concatenate(center - half, center + half, axis=2) * float(stride)
    return {"boxes": boxes, "scores": scores, "class_ids": _whole_quotient(places, per_class)}


def _merge_flipped(outputs: Mapping[str, nn.Variable], layout: Layout) -> dict[str, nn.Variable]:
    """The maps of images and then their mirror images as those of the images, the heatmap as probabilities."""
    images, odd = divmod(outputs["heatmap"].shape[0], 2)
    if odd:
        raise ValueError(f"{2 * images + 1} images cannot be images and their mirror images")

    def mean(maps: nn.Variable) -> nn.Variable:
        plain, mirrored = maps[:images], maps[images:]
        return (plain + (mirrored[:, :, :, ::-1] if layout == "nchw" else mirrored[:, :, ::-1])) * 0.5

    return {
        "heatmap": mean(F.sigmoid(outputs["heatmap"])),
        "size": mean(outputs["size"]),
        "offset": outputs["offset"][:images],
    }


def _at(maps: nn.Variable, cells: nn.Variable, layout: Layout) -> nn.Variable:
    """The pairs (B, k, 2) at the cells (B, k) of a regression head's maps."""
    if layout == "nchw":
        maps = F.transpose(maps, (0, 2, 3, 1))
    return F.gather(F.reshape(maps, (maps.shape[0], -1, maps.shape[3])), cells, axis=1, batch_dims=1)


def _whole_quotient(numbers: nn.Variable, divisor: int) -> nn.Variable:
    """Whole numbers divided and rounded down; the half keeps a rounded reciprocal from falling one short."""
    return F.floor((numbers + 0.5) * (1.0 / divisor))
