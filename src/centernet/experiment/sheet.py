"""A picture to judge a detector by: ground truth beside detections, a row of pairs for several images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from centernet.experiment.assembly import open_split
from centernet.experiment.detector import Detector
from centernet.experiment.schema import DataConfig
from centernet.imaging import draw
from centernet.imaging.io import write_image
from centernet.structures import Array, Detections, Sample

TILE_HEIGHT, THRESHOLD, PAIRS_IN_A_ROW = 256, 0.3, 2


def contact_sheet(detector: Detector, data: DataConfig, path: Path, *, num_images: int) -> Path:
    """Write a PNG of images of the validation split, spread evenly over it.

    Args:
        num_images: at most so many.

    Raises:
        DataError, OutputError: an image cannot be read, or the picture not written.
    """
    dataset = open_split(data, "val")
    indices = np.unique(np.linspace(0, len(dataset) - 1, min(num_images, len(dataset))).astype(int))
    names = dataset.classes.names
    tiles = []
    for index in indices:
        sample = dataset.sample(int(index))
        (found,) = detector.predict_batch([sample.image])
        tiles += pair(Path(sample.name).name, sample, found, names)
    rows = [tiles[i : i + 2 * PAIRS_IN_A_ROW] for i in range(0, len(tiles), 2 * PAIRS_IN_A_ROW)]
    title = f"Ground truth beside detections with a score of at least {THRESHOLD}"
    write_image(path, draw.contact_sheet(rows, tile_height=TILE_HEIGHT, title=title))
    return path


def pair(name: str, sample: Sample, found: Detections, class_names: Sequence[str]) -> list[tuple[str, Array]]:
    """An image with its annotated objects, and with what was found, each with its caption; detections in pixels of the image."""
    truth = draw.draw_boxes(sample.image, sample.boxes, sample.class_ids, class_names, height=TILE_HEIGHT)
    drawn = draw.draw_detections(sample.image, found, class_names, threshold=THRESHOLD, height=TILE_HEIGHT)
    return [(f"{name}: ground truth", truth), (f"{name}: detections", drawn)]
