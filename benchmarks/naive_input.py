"""The input pipeline once more, in plain OpenCV and NumPy as papers' code has it: a float image, one operation after another.

It makes the same random choices as `centernet.data.pipeline`, so that both give the same samples: what the benchmark of the
pipeline measures itself against, and what the pipeline's tests compare with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from centernet.data.augment import AugmentConfig, sample_color, sample_geometry
from centernet.data.datasets.base import DetectionDataset
from centernet.geometry.affine import compose, horizontal_flip
from centernet.geometry.gaussian import gaussian_radius
from centernet.structures import Array, Grid


@dataclass(frozen=True, kw_only=True)
class NaiveInput:
    """Batches of augmented images (B, 3, H, W) with ctdet's targets, for training without rotation."""

    dataset: DetectionDataset
    grid: Grid
    num_classes: int
    augment: AugmentConfig
    max_objects: int = 128
    seed: int = 0

    def batch(self, epoch: int, indices: Sequence[int]) -> dict[str, Array]:
        """The samples of these indices, stacked."""
        samples = [self.sample(epoch, index) for index in indices]
        return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}

    def sample(self, epoch: int, index: int) -> dict[str, Array]:
        """image: (3, H, W) float32, and the entries of `encode_centers`."""
        image = cv2.imread(str(self.dataset.image_path(index)))
        boxes, class_ids = self.dataset.objects(index)
        rng = np.random.default_rng((self.seed, epoch, index))
        height, width = image.shape[:2]
        matrix, is_flipped = sample_geometry(rng, (height, width), (self.grid.height, self.grid.width), self.augment)
        if is_flipped:  # the matrix without the mirroring, which is done to the pixels
            matrix = compose(horizontal_flip(width), matrix)
            image = image[:, ::-1]
            boxes = np.column_stack([width - 1 - boxes[:, 2], boxes[:, 1], width - 1 - boxes[:, 0], boxes[:, 3]])
        image = cv2.warpAffine(image, matrix, (self.grid.width, self.grid.height), flags=cv2.INTER_LINEAR)
        image = image.astype(np.float32) / 255.0
        self._change_color(image, rng)
        image = (image - np.array(self.dataset.normalization.mean, np.float32)) / np.array(self.dataset.normalization.std, np.float32)
        corners = boxes.reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2]
        return {"image": image.transpose(2, 0, 1), **self._targets(corners.reshape(-1, 4), class_ids)}

    def _change_color(self, image: Array, rng: np.random.Generator) -> None:
        change = sample_color(rng, self.augment)
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        grey_mean = grey.mean()
        for what, factor in change.steps:
            image *= factor
            if what == "contrast":
                image += (1 - factor) * grey_mean
            elif what == "saturation":
                image += ((1 - factor) * grey)[:, :, None]
        image += np.array(change.lighting)

    def _targets(self, boxes: Array, class_ids: Array) -> dict[str, Array]:
        rows, columns = self.grid.cells
        m = self.max_objects
        heatmap, mask = np.zeros((self.num_classes, rows, columns), np.float32), np.zeros(m, np.float32)
        indices, size, offset = np.zeros(m, np.int32), np.zeros((m, 2), np.float32), np.zeros((m, 2), np.float32)
        for i, (box, class_id) in enumerate(zip(boxes[:m] / self.grid.stride, class_ids[:m], strict=True)):
            box[[0, 2]] = np.clip(box[[0, 2]], 0, columns - 1)
            box[[1, 3]] = np.clip(box[[1, 3]], 0, rows - 1)
            width, height = box[2] - box[0], box[3] - box[1]
            if width <= 0 or height <= 0:
                continue
            center = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
            cell = center.astype(np.int64)
            radius = max(0, int(gaussian_radius(math.ceil(height), math.ceil(width), 0.7)))
            _draw(heatmap[class_id], cell, radius)
            indices[i], mask[i], size[i], offset[i] = cell[1] * columns + cell[0], 1, (width, height), center - cell
        counts = {"num_peaks": np.asarray((heatmap == 1).sum(), np.float32), "num_objects": np.asarray(mask.sum(), np.float32)}
        return {"heatmap": heatmap, "indices": indices, "size": size, "offset": offset, "mask": mask, **counts}


def _draw(heatmap: Array, cell: Array, radius: int) -> None:
    sigma = (2 * radius + 1) / 6
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    gaussian = np.exp(-(x * x + y * y) / (2 * sigma * sigma))
    (column, row), (height, width) = cell, heatmap.shape
    left, right = min(column, radius), min(width - column, radius + 1)
    top, bottom = min(row, radius), min(height - row, radius + 1)
    part = heatmap[row - top : row + bottom, column - left : column + right]
    np.maximum(part, gaussian[radius - top : radius + bottom, radius - left : radius + right], out=part)
