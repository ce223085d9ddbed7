"""From an index to what the network and the losses are fed with: read, look, light, encode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from centernet.data.augment import AugmentConfig
from centernet.data.views import Dataset, Seen, Transform, Views
from centernet.errors import DataError
from centernet.imaging import color
from centernet.structures import Array, Grid, Normalization, Sample

IMAGE, COLOR = "image", "color"
ColorOn = Literal["host", "device"]

_GRID_STREAM = 3  # fourth word of a key of random numbers; `data.views` lists the others

ArraySpec = tuple[tuple[int, ...], "np.dtype[Any]"]  # shape and type of one sample's array


class Encode(Protocol):
    """Makes the targets of a sample whose image and boxes are in network-input pixels; shapes depend on the grid only."""

    def __call__(self, sample: Sample, grid: Grid, *, out: Mapping[str, Array] | None = None) -> Mapping[str, Array]:
        """out: zeros, or what an earlier call for this grid returned: all of it is overwritten, and returned."""


@dataclass(frozen=True)
class Item:
    """One sample, ready for a batch: its arrays by name, and the image file it came from.

    skipped: the images in whose place it, or one beside it, stands, (index, why) each; the text names the file.
    is_emptied: a transform took every object of images that had some.
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
        color_on: ColorOn = "host",
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
            color_on: "device" leaves colours, normalisation, layout and channels to the network's graph; see `item`.
        """
        self.dataset, self.encode = dataset, encode
        self.views = Views(dataset, augment=augment, transform=transform, is_skipping=on_bad_image == "skip")
        self.grids = (grid, *more_grids)
        self.normalization = normalization or dataset.normalization
        self.channels, self.layout, self.seed, self.on_bad_image, self.color_on = channels, layout, seed, on_bad_image, color_on
        self._specs: dict[Grid, dict[str, ArraySpec]] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def plan(self, num_epochs: int | None) -> bool:
        """Say how many epochs the training has, for what its last ones do without; returns whether samples may change by it."""
        is_other = self.views.is_late and self.views.num_epochs != num_epochs
        self.views.num_epochs = num_epochs
        return is_other

    def name(self, index: int) -> str:
        """What to call a sample in messages, without reading it."""
        return self.dataset.name(index)

    def grid_of(self, epoch: int) -> Grid:
        """The input of an epoch, a function of the seed and the epoch: each turn through all of them has an order of its own."""
        if len(self.grids) == 1:
            return self.grids[0]
        turn, position = divmod(epoch, len(self.grids))
        order = np.random.default_rng((self.seed, turn, 0, _GRID_STREAM)).permutation(len(self.grids))
        return self.grids[int(order[position])]

    def specs(self, epoch: int) -> dict[str, ArraySpec]:
        """Shape and type of each of a sample's arrays, without reading anything."""
        grid = self.grid_of(epoch)
        if grid not in self._specs:
            self._specs[grid] = self._specs_for(grid)
        return dict(self._specs[grid])

    def _specs_for(self, grid: Grid) -> dict[str, ArraySpec]:
        plane = grid.height, grid.width
        blank = Sample(image=np.zeros((*plane, 3), np.uint8), boxes=np.zeros((0, 4)), class_ids=np.zeros(0))
        targets = {name: (array.shape, array.dtype) for name, array in self.encode(blank, grid).items()}
        if self.color_on == "device":
            return {IMAGE: ((*plane, 3), np.dtype(np.uint8)), COLOR: ((3, 4), np.dtype(np.float32)), **targets}
        shape = (self.channels, *plane) if self.layout == "nchw" else (*plane, self.channels)
        return {IMAGE: (shape, np.dtype(np.float32)), **targets}

    def __call__(self, epoch: int, index: int) -> dict[str, Array]:
        """The arrays of `item`."""
        return self.item(epoch, index).arrays

    def partners(self, epoch: int, index: int) -> tuple[int, ...]:
        """The other images that sample `index` of an epoch is made of, without reading anything; a few of them, or none."""
        grid = self.grid_of(epoch)
        return self.views.company((self.seed, epoch, index), (grid.height, grid.width)).images

    def item(self, epoch: int, index: int, *, out: Mapping[str, Array] | None = None, first: int = 0, is_alone: bool = False) -> Item:
        """One sample of an epoch.

        Args:
            epoch: >= 0; another epoch is another view.
            index: 0 <= index < len(self).
            out: an array of its `specs` for each name, to write into: zeros, or an earlier call's for the same grid.
            first: begin this many samples further on, those between being known to be unusable.
            is_alone: without the other images it would have, see `partners`.

        Returns:
            What `encode` makes, and `image`: (channels, H, W) float32, normalised BGR ((H, W, channels) for "nhwc").
            Where colours are made on the device, `image` is (H, W, 3) uint8 BGR, and `color` (3, 4) float32 takes such a
            pixel, in [0, 255], and a 1 to normalised BGR.

        Raises:
            DataError: the image cannot be read and `on_bad_image` is "stop", or none can be read.
        """
        skipped: list[tuple[int, str]] = []
        grid = self.grid_of(epoch)
        for step in range(first, len(self)):
            number = (index + step) % len(self)
            try:
                seen = self.views.see(number, (self.seed, epoch, index), (grid.height, grid.width), is_alone=is_alone)
            except DataError as error:
                if self.on_bad_image == "stop":
                    raise
                skipped.append((number, str(error)))
                continue
            name = self.name(number)
            return Item(self._encoded(seen, grid, name, out), name, (*skipped, *seen.skipped), seen.is_emptied)
        raise DataError(f"none of the {len(self)} images can be read; for example {skipped[0][1] if skipped else self.name(index)}")

    def _encoded(self, seen: Seen, grid: Grid, name: str, out: Mapping[str, Array] | None) -> dict[str, Array]:
        target = out[IMAGE] if out is not None and self.color_on == "device" else None
        image = color.without_fourth_channel(seen.image, out=target)
        sample = Sample(image=image, boxes=seen.boxes, class_ids=seen.class_ids, name=name)
        return {**self._colored(seen, image, out), **self.encode(sample, grid, out=out)}

    def _colored(self, seen: Seen, image: Array, out: Mapping[str, Array] | None) -> dict[str, Array]:
        matrix = color.color_matrix(
            self.normalization,
            adjustments=seen.change.steps,
            lighting=seen.change.lighting,
            grey_mean=color.grey_mean(seen.image) if seen.change.steps else 0.0,
        )
        if self.color_on == "host":
            target = None if out is None else out[IMAGE]
            return {IMAGE: color.network_input(image, matrix, channels=self.channels, layout=self.layout, out=target, rows=seen.rows)}
        if out is None:
            return {IMAGE: image, COLOR: matrix.astype(np.float32)}
        out[COLOR][...] = matrix
        return {IMAGE: out[IMAGE], COLOR: out[COLOR]}
