"""A data set of made-up photographs: JPEG files of the usual size with five boxes each, for benchmarks and tests of speed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from centernet.data.datasets.base import COCO_MEAN, COCO_STD, DetectionDataset
from centernet.structures import Annotations, Array, ClassTable, Normalization

IMAGE_HW = (375, 500)  # what VOC's are, and most of COCO's come near
BOXES_PER_IMAGE = 5
QUALITY = 90


def photographs(folder: Path, number: int, *, num_classes: int, image_hw: tuple[int, int] = IMAGE_HW) -> DetectionDataset:
    """Write the files and return them as a data set; boxes lie anywhere, with sides from 1/16 to 1/2 of the image's."""
    rng = np.random.default_rng(0)
    names = [f"{i:03}.jpg" for i in range(number)]
    for name in names:
        written, data = cv2.imencode(".jpg", _photograph(rng, image_hw), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        assert written
        (folder / name).write_bytes(data.tobytes())
    count = number * BOXES_PER_IMAGE
    sides_wh = np.array(image_hw[::-1])
    size = sides_wh * rng.uniform(1 / 16, 1 / 2, (count, 2))
    corner = (sides_wh - size) * rng.random((count, 2))
    annotations = Annotations(
        image_ids=np.arange(number),
        image_sizes=np.tile(np.array(image_hw, np.int32), (number, 1)),
        file_names=names,
        image_index=np.repeat(np.arange(number), BOXES_PER_IMAGE),
        boxes=np.hstack([corner, corner + size]),
        class_ids=rng.integers(0, num_classes, count),
        areas=size.prod(axis=1),
        is_crowd=np.zeros(count, bool),
        is_difficult=np.zeros(count, bool),
    )
    return DetectionDataset(
        annotations=annotations,
        classes=ClassTable(tuple(f"class {i}" for i in range(num_classes))),
        image_folder=folder,
        normalization=Normalization(COCO_MEAN, COCO_STD),
    )


def _photograph(rng: np.random.Generator, image_hw: tuple[int, int]) -> Array:
    """Noise with the spectrum of photographs, about 1/f, whose three channels resemble each other: a JPEG of 65 kB that decodes in 1 ms."""
    frequency = np.hypot(np.fft.fftfreq(image_hw[0])[:, None], np.fft.rfftfreq(image_hw[1])[None])
    frequency[0, 0] = 1

    def plane(exponent: float) -> Array:
        return np.fft.irfft2(np.fft.rfft2(rng.standard_normal(image_hw)) / frequency**exponent, s=image_hw)

    common = plane(1.4)
    image = np.stack([common + 0.4 * plane(1.5) for _ in "bgr"], axis=-1)
    contrast = 50 / image.std()
    levels: Array = ((image - image.mean()) * contrast + 120).clip(0, 255).astype(np.uint8)
    return levels
