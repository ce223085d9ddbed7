"""Head maps to detections in NumPy, for whole batches, and the merging of an image's maps with its mirror image's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from centernet.structures import Array, Detections
from centernet.tasks._keypoints.decode import best_peaks, neighbourhood_maximum, sigmoid

# What follows the heatmap (B, C, h, w), by the head that says how large boxes are, with its channels.
_SIZES = {"size": "(B, 2, h, w) or (B, 2 C, h, w), offset (B, 2, h, w)", "ltrb": "(B, 4, h, w)"}
_SAY_BOXES = ("size", "offset", "ltrb")
_MIRRORED_SIDES = [2, 1, 0, 3]  # left and right change places
NOTHING = -1e4  # a logit whose sigmoid is 0


def decode_centers(outputs: Mapping[str, Array], *, k: int, stride: int) -> list[Detections]:
    """Read the k best objects off the raw head maps of each image.

    A cell is an object if it is the maximum of its own 3x3 neighbourhood (Zhou et al. 2019, Objects as Points,
    arXiv:1904.07850, "From points to bounding boxes"). Maxima are looked for among the logits, which the sigmoid
    leaves where they are, except that it makes neighbours equal where it saturates.

    Args:
        outputs: heatmap (B, C, h, w) logits; size (B, 2, h, w) width and height in cells, or (B, 2 C, h, w) for each class; offset
            (B, 2, h, w) centre minus its cell (x, y), in cells. Or heatmap and ltrb (B, 4, h, w): from the cell's middle to the left,
            top, right and bottom side, in cells.
        stride: input pixels per heatmap cell.
        k: number of detections, 1 <= k <= C*h*w.

    Returns:
        For each image exactly k detections, best first, boxes xyxy in network-input pixels, not clipped. Where an
        image has fewer maxima than k, the rest are other cells, with score 0.

    Raises:
        ValueError: the maps do not share (B, h, w), or k is out of range.
    """
    _check_maps(outputs)
    heatmap = outputs["heatmap"]
    batch, classes, rows, columns = heatmap.shape
    if not 1 <= k <= classes * rows * columns:
        raise ValueError(f"k is {k}, expected 1 to {classes * rows * columns}, the cells of {classes} heatmaps of {rows}x{columns}")
    # (B, h*w, c), so that what a cell says is one row
    told = {name: maps.reshape(batch, maps.shape[1], -1).transpose(0, 2, 1) for name, maps in outputs.items() if name in _SAY_BOXES}
    found = []
    for image in range(batch):
        best, scores = _best_cells(heatmap[image], k)
        class_ids, cells = np.divmod(best, rows * columns)
        corner = np.stack([cells % columns, cells // columns], axis=1)
        boxes = _boxes({name: rows_of[image, cells].astype(np.float64) for name, rows_of in told.items()}, corner, class_ids) * stride
        found.append(Detections(boxes.astype(np.float32), scores, class_ids))
    return found


def possible_centers(outputs: Mapping[str, Array], *, stride: int, lowest: float, slack: float) -> Detections:
    """Every maximum of one image's heatmap, and what rounding could make one.

    Those are the cells whose score is no more than `slack` below the highest of their neighbourhood.

    Args:
        outputs: as `decode_centers` takes them, of one image. stride: input pixels per heatmap cell.
        lowest: score from which cells count.

    Returns:
        The detections at all of these cells, in no order, boxes xyxy in network-input pixels.
    """
    logits = outputs["heatmap"]
    scores = sigmoid(logits)
    may_be = (scores >= neighbourhood_maximum(scores) - slack) & (scores >= lowest)
    rows, columns = np.indices(logits.shape[2:])
    found = [Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0))]
    for down in (0, 1):
        for right in (0, 1):  # of such cells none is a neighbour of another: each is the maximum of its own neighbourhood
            wanted = may_be & (rows % 2 == down) & (columns % 2 == right)
            if wanted.any():
                alone = {**outputs, "heatmap": np.where(wanted, logits, NOTHING).astype(logits.dtype)}
                found += decode_centers(alone, k=int(wanted.sum()), stride=stride)
    return Detections(*(np.concatenate([getattr(part, key) for part in found]) for key in ("boxes", "scores", "class_ids")))


def merge_flipped(outputs: Mapping[str, Array]) -> dict[str, Array]:
    """Combine the maps of n images and of their mirror images: probabilities, sizes and distances are averaged.

    Offsets are taken from the plain images: a mirrored cell's fraction is not the fraction mirrored.

    Args:
        outputs: as `decode_centers` takes them, for 2n images; mirrored images follow the plain ones.

    Returns:
        The same maps for n images; the heatmap again as logits.

    Raises:
        ValueError: an odd number of images, or maps which do not belong together.
    """
    _check_maps(outputs)
    images, odd = divmod(len(outputs["heatmap"]), 2)
    if odd:
        raise ValueError(f"{2 * images + 1} images cannot be images and their mirror images")
    plain, mirrored = ({name: maps[part] for name, maps in outputs.items()} for part in (slice(images), slice(images, None)))
    mirrored = {name: maps[:, :, :, ::-1] for name, maps in mirrored.items()}
    # log(p / (1 - p)) of the mean p, from log p and log (1 - p): exact also where p rounds to 0 or 1
    logits = np.stack([plain["heatmap"], mirrored["heatmap"]]).astype(np.float64)
    merged = {"heatmap": np.logaddexp(*-np.logaddexp(0, -logits)) - np.logaddexp(*-np.logaddexp(0, logits))}
    if "ltrb" in outputs:
        merged["ltrb"] = (plain["ltrb"].astype(np.float64) + mirrored["ltrb"][:, _MIRRORED_SIDES]) / 2
    else:
        merged["size"] = (plain["size"].astype(np.float64) + mirrored["size"]) / 2
        merged["offset"] = plain["offset"].copy()
    return {name: maps.astype(np.float32) for name, maps in merged.items()}


def read_decoded(arrays: Mapping[str, Array]) -> list[Detections]:
    """The outputs of `graph.decode_graph`: boxes (B, k, 4), scores (B, k), class_ids (B, k) of any number type."""
    rows = zip(arrays["boxes"], arrays["scores"], arrays["class_ids"], strict=True)
    return [Detections(boxes, scores, np.rint(class_ids).astype(np.int64)) for boxes, scores, class_ids in rows]


def _boxes(told: Mapping[str, Array], corner: Array, class_ids: Array) -> Array:
    """(k, 4) xyxy in cells from what (k, c) the heads say in the cells with these upper left corners (k, 2)."""
    if "ltrb" in told:
        middle = corner + 0.5
        return np.concatenate([middle - told["ltrb"][:, :2], middle + told["ltrb"][:, 2:]], axis=1)
    size, center = told["size"], corner + told["offset"]
    if size.shape[1] > 2:
        size = size.reshape(len(size), -1, 2)[np.arange(len(size)), class_ids]
    return np.concatenate([center - size / 2, center + size / 2], axis=1)


def _best_cells(heatmap: Array, k: int) -> tuple[Array, Array]:
    """The k best flat cells of one image's heatmap (C, h, w) and their scores, best first; peaks come before all others."""
    peaks = best_peaks(heatmap, k)
    scores = np.zeros(k, np.float32)
    scores[: len(peaks)] = sigmoid(heatmap.reshape(-1)[peaks])
    others = np.setdiff1d(np.arange(k), peaks, assume_unique=True)
    return np.concatenate([peaks, others[: k - len(peaks)]]), scores


def _check_maps(outputs: Mapping[str, Array]) -> None:
    shapes = {name: maps.shape for name, maps in outputs.items() if name == "heatmap" or name in _SAY_BOXES}
    form = "ltrb" if "ltrb" in shapes else "size"
    wanted = {"ltrb": (4,)} if form == "ltrb" else {"size": (2, 2 * shapes["heatmap"][1]), "offset": (2,)}
    fits = all(len(shapes.get(name, ())) == 4 and shapes[name][1] in channels for name, channels in wanted.items())
    if not fits or len({(shape[0], *shape[2:]) for shape in shapes.values()}) != 1:
        raise ValueError(f"head maps do not belong together: {shapes}; expected heatmap (B, C, h, w), {form} {_SIZES[form]}")
