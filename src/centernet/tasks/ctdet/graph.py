"""Decoding as a part of the network, made of functions that every exporter knows."""

from __future__ import annotations

from collections.abc import Mapping

import nnabla as nn
import nnabla.functions as F

from centernet.models.specs import Layout
from centernet.tasks._keypoints.graph import best_cells, peaks_only, rows_at


def decode_graph(
    outputs: Mapping[str, nn.Variable], *, k: int, stride: int, layout: Layout, flipped: bool = False
) -> dict[str, nn.Variable]:
    """`decode.decode_centers` as a graph; after `decode.merge_flipped` where the maps are also of mirror images.

    Args:
        outputs: raw maps, (B, c, h, w) or (B, h, w, c) by layout: heatmap logits; size and offset, or ltrb, in cells.
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
    _, classes, rows, columns = heatmap.shape
    if not 1 <= k <= classes * rows * columns:
        raise ValueError(f"k is {k}, expected 1 to {classes * rows * columns}, the cells of {classes} heatmaps of {rows}x{columns}")
    values, class_ids, y, x = best_cells(peaks_only(heatmap), k)
    cells = y * columns + x
    corner = F.concatenate(F.reshape(x, (-1, k, 1)), F.reshape(y, (-1, k, 1)), axis=2)
    scores = F.maximum_scalar(values, 0.0) if flipped else F.sigmoid(values)
    if "ltrb" in outputs:
        distances, middle = rows_at(outputs["ltrb"], cells, layout), corner + 0.5
        boxes = F.concatenate(middle - distances[:, :, :2], middle + distances[:, :, 2:], axis=2) * float(stride)
        return {"boxes": boxes, "scores": scores, "class_ids": class_ids}
    center = corner + rows_at(outputs["offset"], cells, layout)
    size = rows_at(outputs["size"], cells, layout)
    if size.shape[2] > 2:
        size, class_ids = _of_own_class(size, class_ids), F.identity(class_ids)  # in an .nnp only what nobody uses is an output
    half = size * 0.5
    boxes = F.concatenate(center - half, center + half, axis=2) * float(stride)
    return {"boxes": boxes, "scores": scores, "class_ids": class_ids}


def _merge_flipped(outputs: Mapping[str, nn.Variable], layout: Layout) -> dict[str, nn.Variable]:
    """The maps of images and then their mirror images as those of the images, the heatmap as probabilities."""
    images, odd = divmod(outputs["heatmap"].shape[0], 2)
    if odd:
        raise ValueError(f"{2 * images + 1} images cannot be images and their mirror images")

    def mean(maps: nn.Variable, *, swaps_sides: bool = False) -> nn.Variable:
        plain, mirrored = maps[:images], maps[images:]
        mirrored = mirrored[:, :, :, ::-1] if layout == "nchw" else mirrored[:, :, ::-1]
        return (plain + (_with_sides_swapped(mirrored, layout) if swaps_sides else mirrored)) * 0.5

    heatmap = mean(F.sigmoid(outputs["heatmap"]))
    if "ltrb" in outputs:
        return {"heatmap": heatmap, "ltrb": mean(outputs["ltrb"], swaps_sides=True)}
    return {"heatmap": heatmap, "size": mean(outputs["size"]), "offset": outputs["offset"][:images]}


def _with_sides_swapped(ltrb: nn.Variable, layout: Layout) -> nn.Variable:
    """Left and right change places."""
    order = (2, 1, 0, 3)
    if layout == "nchw":
        return F.concatenate(*(ltrb[:, side : side + 1] for side in order), axis=1)
    return F.concatenate(*(ltrb[:, :, :, side : side + 1] for side in order), axis=3)


def _of_own_class(sizes: nn.Variable, class_ids: nn.Variable) -> nn.Variable:
    """(B, k, 2C), width and height for each class, to the (B, k, 2) of the classes that were found."""
    _, k, channels = sizes.shape
    rows = F.reshape(sizes, (-1, k * channels // 2, 2))
    first = F.reshape(F.arange(0, k), (1, k)) * (channels // 2)
    return F.gather(rows, first + class_ids, axis=1, batch_dims=1)
