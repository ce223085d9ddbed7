"""Data sets of plain images, made to have just the mistakes that a test is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from centernet.data.datasets.base import DetectionDataset
from centernet.imaging.io import write_image
from centernet.structures import Annotations, ClassTable, Normalization

Objects = Sequence[tuple[int, int, tuple[float, float, float, float]]]  # image, class, xyxy
HEIGHT, WIDTH = 48, 64


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., DetectionDataset]:
    """A data set of `names`, which are written as images of 48x64 that all differ, and of `objects`."""

    def build(names: Sequence[str], objects: Objects = (), *, sizes: tuple[int, int] = (HEIGHT, WIDTH)) -> DetectionDataset:
        for name in names:
            pixels = np.random.default_rng(sum(name.encode())).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            write_image(tmp_path / name, pixels)
        boxes = np.array([box for _, _, box in objects], np.float64).reshape(-1, 4)
        annotations = Annotations(
            image_ids=np.arange(len(names)),
            image_sizes=np.array([sizes] * len(names), np.int32).reshape(-1, 2),
            file_names=list(names),
            image_index=np.array([image for image, _, _ in objects], np.int32),
            boxes=boxes,
            class_ids=np.array([class_id for _, class_id, _ in objects], np.int32),
            areas=np.ones(len(objects)),
            is_crowd=np.zeros(len(objects), np.bool_),
            is_difficult=np.zeros(len(objects), np.bool_),
        )
        plain = Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        return DetectionDataset(annotations=annotations, classes=ClassTable(("cat", "dog")), image_folder=tmp_path, normalization=plain)

    return build
