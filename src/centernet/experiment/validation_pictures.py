"""The picture by which one follows a training: the same held-out images each time, annotated, detected, and as heatmaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from centernet.data.datasets.base import DetectionDataset
from centernet.errors import DataError
from centernet.experiment.assembly import Assembly
from centernet.experiment.detector import Detector, Options, detector
from centernet.experiment.inference_graph import Machine
from centernet.experiment.sheet import THRESHOLD, TILE_HEIGHT, pair
from centernet.imaging import draw
from centernet.imaging.io import encode_png
from centernet.imaging.warp import resize_for_scale
from centernet.structures import Array, Sample


class ValidationPictures:
    """Draws some images of the validation split, a row each: ground truth, detections, and each heatmap over the network's input.

    The network is NNabla's own graph, kept from one picture to the next: it follows the parameters as they are trained.
    """

    def __init__(
        self, assembly: Assembly, dataset: DetectionDataset, machine: Machine, options: Options, *, num_images: int, seed: int
    ) -> None:
        """
        Args:
            dataset: the split. machine: where the graph runs. options: how to detect; one scale is drawn, that of the input.
            num_images: at most so many, > 0, of those that can be read. seed: chooses them.
        """
        self._assembly = assembly
        self._dataset = dataset
        self._machine = replace(machine, runtime="nnabla")
        self._options = replace(options, scales=(1.0,), batch_size=1, with_maps=True)
        self._num_images = num_images
        self._seed = seed

    def draw(self, epoch: int) -> bytes:
        """The picture with the parameters as they are now, a PNG file; epoch: from 0, for its title."""
        rows = [self._row(sample) for sample in self._samples()]
        title = f"Epoch {epoch + 1}: ground truth, detections with a score of at least {THRESHOLD}, heatmaps"
        return encode_png(draw.contact_sheet(rows, tile_height=TILE_HEIGHT, title=title))

    @cached_property
    def _detector(self) -> Detector:
        return detector(self._assembly, self._machine, self._options)

    def _samples(self) -> Iterator[Sample]:
        """Read again each time: a few large photographs are not kept in memory for days."""
        number = 0
        for index in np.random.default_rng(self._seed).permutation(len(self._dataset)):
            try:
                sample = self._dataset.sample(int(index))
            except DataError:  # the next one takes its place; the measurement speaks of it
                continue
            yield sample
            number += 1
            if number == self._num_images:
                return

    def _row(self, sample: Sample) -> list[tuple[str, Array]]:
        inspection = self._detector.inspect(sample.image)
        seen, maps = inspection.fitted.warped, self._detector.maps(inspection)
        enlarged = resize_for_scale(seen, TILE_HEIGHT / seen.shape[0])  # before it glows, so that small objects do visibly
        heatmaps = [name for name, head in self._assembly.task.heads.items() if head.kind == "heatmap"]
        tiles = [(f"{name}, at most {maps[name].max():.2f}", draw.heatmap_overlay(enlarged, maps[name])) for name in heatmaps]
        return [*pair(Path(sample.name).name, sample, inspection.detections, self._dataset.classes.names), *tiles]
