"""From an index to what the network and the losses are fed with: read, look, light, encode."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from centernet.data.augment import AugmentConfig, ColorChange, sample_color, sample_geometry
from centernet.errors import DataError
from centernet.geometry.affine import transform_boxes
from centernet.imaging import color
from centernet.imaging.warp import fit_matrix, warp
from centernet.structures import Array, Grid, Normalization, Sample

LOG = logging.getLogger(__name__)
Encode = Callable[[Sample, Grid], Mapping[str, Array]]
IMAGE = "image"


class Dataset(Protocol):
    """What the pipeline needs of a data set."""

    @property
    def normalization(self) -> Normalization: ...

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample: ...


@dataclass(frozen=True)
class Item:
    """One sample, ready for a batch: its arrays by name, and the image file it came from."""

    arrays: dict[str, Array]
    name: str


class Pipeline:
    """Samples as the network sees them; the same (seed, epoch, index) gives the same bytes in any thread or process."""

    def __init__(
        self,
        dataset: Dataset,
        grid: Grid,
        encode: Encode,
        *,
        augment: AugmentConfig | None = None,
        normalization: Normalization | None = None,
        channels: int = 3,
        layout: color.Layout = "nchw",
        seed: int = 0,
        on_bad_image: Literal["stop", "skip"] = "stop",
    ) -> None:
        """Prepare, without reading anything.

        Args:
            dataset: where images and objects come from.
            grid: size and stride of the network's input.
            encode: makes the targets from a sample whose image and boxes are in network-input pixels.
            augment: how to vary the images; None fits each whole image into the input.
            normalization: of BGR pixels in [0, 1]; None takes the data set's.
            channels: 3, or 4 with a zero plane.
            layout: of the image array.
            seed: >= 0.
            on_bad_image: whether an image that cannot be read ends the run or gives its place to the next one.
        """
        self.dataset, self.grid, self.encode, self.augment = dataset, grid, encode, augment
        self.normalization = normalization or dataset.normalization
        self.channels, self.layout, self.seed, self.on_bad_image = channels, layout, seed, on_bad_image
        self.bad_images: dict[int, str] = {}  # what was skipped, and why; the text names the file
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.dataset)

    def __call__(self, epoch: int, index: int) -> dict[str, Array]:
        """The arrays of `item`."""
        return self.item(epoch, index).arrays

    def item(self, epoch: int, index: int, *, out: Mapping[str, Array] | None = None) -> Item:
        """One sample of an epoch.

        Args:
            epoch: >= 0; another epoch is another view.
            index: 0 <= index < len(self).
            out: arrays to write into where possible, by name.

        Returns:
            `image`: (channels, H, W) float32, normalised BGR ((H, W, channels) for "nhwc"), and what `encode` makes.

        Raises:
            DataError: the image cannot be read and `on_bad_image` is "stop", or none can be read.
        """
        sample = self._readable_sample(index)
        rng = np.random.default_rng((self.seed, epoch, index))
        viewed, change = self._view(sample, rng)
        matrix = color.color_matrix(
            self.normalization,
            adjustments=change.steps,
            lighting=change.lighting,
            grey_mean=color.grey_mean(viewed.image) if change.steps else 0.0,
        )
        target = None if out is None else out.get(IMAGE)
        image = color.network_input(viewed.image, matrix, channels=self.channels, layout=self.layout, out=target)
        return Item({IMAGE: image, **self.encode(viewed, self.grid)}, sample.name)

    def _view(self, sample: Sample, rng: np.random.Generator) -> tuple[Sample, ColorChange]:
        """The sample in network-input pixels (boxes not clipped), and the light to show it in."""
        image_hw: tuple[int, int] = sample.image.shape[0], sample.image.shape[1]
        input_hw = self.grid.height, self.grid.width
        if self.augment is None:
            matrix, change = fit_matrix(image_hw, input_hw), ColorChange()
        else:
            matrix, _ = sample_geometry(rng, image_hw, input_hw, self.augment)
            change = sample_color(rng, self.augment)
        viewed = replace(sample, image=warp(sample.image, matrix, input_hw), boxes=transform_boxes(sample.boxes, matrix))
        return viewed, change

    def _readable_sample(self, index: int) -> Sample:
        for step in range(len(self)):
            try:
                return self.dataset.sample((index + step) % len(self))
            except DataError as error:
                if self.on_bad_image == "stop":
                    raise
                self._note_bad((index + step) % len(self), error)
        raise DataError(f"none of the {len(self)} images can be read; for example {next(iter(self.bad_images.values()))}")

    def _note_bad(self, index: int, error: DataError) -> None:
        with self._lock:
            if index not in self.bad_images:
                self.bad_images[index] = str(error)
                LOG.warning("skipped, the next image takes its place (%d so far): %s", len(self.bad_images), error)
