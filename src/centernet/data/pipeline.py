"""From an index to what the network and the losses are fed with: read, look, light, encode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from centernet.data.augment import AugmentConfig, ColorChange, sample_color, sample_geometry
from centernet.data.images import Picture
from centernet.errors import DataError
from centernet.geometry.affine import transform_boxes
from centernet.imaging import color
from centernet.imaging.warp import fit_matrix, warp
from centernet.structures import Array, Grid, Normalization, Sample

IMAGE = "image"
ArraySpec = tuple[tuple[int, ...], np.dtype]  # shape and type of one sample's array


class Encode(Protocol):
    """Makes the targets of a sample whose image and boxes are in network-input pixels; shapes depend on the grid only."""

    def __call__(self, sample: Sample, grid: Grid, *, out: Mapping[str, Array] | None = None) -> Mapping[str, Array]:
        """out: zeros, or what an earlier call for this grid returned: all of it is overwritten, and returned."""


class Transform(Protocol):
    """Varies a whole sample, before the view is chosen."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample: ...


class Dataset(Protocol):
    """What the pipeline needs of a data set."""

    @property
    def normalization(self) -> Normalization: ...

    def __len__(self) -> int: ...

    def name(self, index: int) -> str: ...

    def picture(self, index: int) -> Picture: ...

    def objects(self, index: int) -> tuple[Array, Array]: ...


@dataclass(frozen=True)
class Item:
    """One sample, ready for a batch: its arrays by name, and the image file it came from.

    skipped: the samples in whose place it stands, (index, why) each; the text names the file.
    is_emptied: a transform took every object of an image that had some.
    """

    arrays: dict[str, Array]
    name: str
    skipped: tuple[tuple[int, str], ...] = ()
    is_emptied: bool = False


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
        transform: Transform | None = None,
        more_grids: Sequence[Grid] = (),
    ) -> None:
        """Prepare, without reading anything.

        Args:
            dataset: where images and objects come from.
            grid: size and stride of the network's input.
            encode: makes the targets.
            augment: how to vary the images; None fits each whole image into the input.
            normalization: of BGR pixels in [0, 1]; None takes the data set's.
            channels: 3, or 4 with a zero plane.
            layout: of the image array.
            seed: >= 0.
            on_bad_image: whether an image that cannot be read ends the run or gives its place to the next one.
            transform: varies each sample before the view is chosen.
            more_grids: further inputs; an epoch uses one of them all, see `grid_of`.
        """
        self.dataset, self.encode, self.augment, self.transform = dataset, encode, augment, transform
        self.grids = (grid, *more_grids)
        self.normalization = normalization or dataset.normalization
        self.channels, self.layout, self.seed, self.on_bad_image = channels, layout, seed, on_bad_image

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, index: int) -> str:
        """What to call a sample in messages, without reading it."""
        return self.dataset.name(index)

    def grid_of(self, epoch: int) -> Grid:
        """The input of an epoch."""
        del epoch
        return self.grids[0]

    def specs(self, epoch: int) -> dict[str, ArraySpec]:
        """Shape and type of each of a sample's arrays, without reading anything."""
        grid = self.grid_of(epoch)
        blank = Sample(image=np.zeros((grid.height, grid.width, 3), np.uint8), boxes=np.zeros((0, 4)), class_ids=np.zeros(0))
        targets = self.encode(blank, grid)
        plane = (grid.height, grid.width)
        shape = (self.channels, *plane) if self.layout == "nchw" else (*plane, self.channels)
        return {IMAGE: (shape, np.dtype(np.float32)), **{name: (array.shape, array.dtype) for name, array in targets.items()}}

    def __call__(self, epoch: int, index: int) -> dict[str, Array]:
        """The arrays of `item`."""
        return self.item(epoch, index).arrays

    def item(self, epoch: int, index: int, *, out: Mapping[str, Array] | None = None, first: int = 0) -> Item:
        """One sample of an epoch.

        Args:
            epoch: >= 0; another epoch is another view.
            index: 0 <= index < len(self).
            out: an array of its `specs` for each name, to write into: zeros, or an earlier call's.
            first: begin this many samples further on, those between being known to be unusable.

        Returns:
            `image`: (channels, H, W) float32, normalised BGR ((H, W, channels) for "nhwc"), and what `encode` makes.

        Raises:
            DataError: the image cannot be read and `on_bad_image` is "stop", or none can be read.
        """
        sample, skipped = self._readable_sample(index, first)
        grid = self.grid_of(epoch)
        rng = np.random.default_rng((self.seed, epoch, index))
        viewed, change = self._view(sample, grid, rng)
        matrix = color.color_matrix(
            self.normalization,
            adjustments=change.steps,
            lighting=change.lighting,
            grey_mean=color.grey_mean(viewed.image) if change.steps else 0.0,
        )
        target = None if out is None else out[IMAGE]
        image = color.network_input(viewed.image, matrix, channels=self.channels, layout=self.layout, out=target)
        return Item({IMAGE: image, **self.encode(viewed, grid, out=out)}, sample.name, skipped)

    def _view(self, sample: Sample, grid: Grid, rng: np.random.Generator) -> tuple[Sample, ColorChange]:
        """The sample in network-input pixels (boxes not clipped), and the light to show it in."""
        image_hw: tuple[int, int] = sample.image.shape[0], sample.image.shape[1]
        input_hw = grid.height, grid.width
        if self.augment is None:
            matrix, change = fit_matrix(image_hw, input_hw), ColorChange()
        else:
            matrix, _ = sample_geometry(rng, image_hw, input_hw, self.augment)
            change = sample_color(rng, self.augment)
        viewed = replace(sample, image=warp(sample.image, matrix, input_hw), boxes=transform_boxes(sample.boxes, matrix))
        return viewed, change

    def _readable_sample(self, index: int, first: int) -> tuple[Sample, tuple[tuple[int, str], ...]]:
        skipped: list[tuple[int, str]] = []
        for step in range(first, len(self)):
            number = (index + step) % len(self)
            try:
                boxes, class_ids = self.dataset.objects(number)
                image = self.dataset.picture(number).decode()
                return Sample(image=image, boxes=boxes, class_ids=class_ids, name=self.name(number)), tuple(skipped)
            except DataError as error:
                if self.on_bad_image == "stop":
                    raise
                skipped.append((number, str(error)))
        raise DataError(f"none of the {len(self)} images can be read; for example {skipped[0][1] if skipped else self.name(index)}")
