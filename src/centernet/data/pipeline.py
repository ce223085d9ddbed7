"""From an index to what the network and the losses are fed with: read, look, light, encode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from centernet.data.augment import AugmentConfig, ColorChange, sample_color, sample_geometry
from centernet.data.images import Picture
from centernet.errors import DataError
from centernet.geometry.affine import transform_boxes
from centernet.imaging import color
from centernet.imaging.warp import covered_rows, fit_matrix, reduced_matrix, reduction_for, reduction_of, warp
from centernet.structures import Array, Grid, Normalization, Sample

IMAGE, COLOR = "image", "color"
ColorOn = Literal["host", "device"]

# Fourth words of the keys of random numbers; a sample's own key (seed, epoch, index) has a 0 there, the sampler's order a 1.
_TRANSFORM_STREAM, _GRID_STREAM = 2, 3

ArraySpec = tuple[tuple[int, ...], "np.dtype[Any]"]  # shape and type of one sample's array


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


class _View(NamedTuple):
    """How a sample is looked at: the matrix from image pixels to input pixels, and the light."""

    matrix: Array
    change: ColorChange


class _Seen(NamedTuple):
    """A sample in network-input pixels, boxes not clipped; `rows` of its image are not black, see `covered_rows`."""

    sample: Sample
    change: ColorChange
    grey_mean: float
    rows: tuple[int, int]
    is_emptied: bool


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
        self.dataset, self.encode, self.augment, self.transform = dataset, encode, augment, transform
        self.grids = (grid, *more_grids)
        self.normalization = normalization or dataset.normalization
        self.channels, self.layout, self.seed, self.on_bad_image, self.color_on = channels, layout, seed, on_bad_image, color_on
        self._specs: dict[Grid, dict[str, ArraySpec]] = {}

    def __len__(self) -> int:
        return len(self.dataset)

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

    def item(self, epoch: int, index: int, *, out: Mapping[str, Array] | None = None, first: int = 0) -> Item:
        """One sample of an epoch.

        Args:
            epoch: >= 0; another epoch is another view.
            index: 0 <= index < len(self).
            out: an array of its `specs` for each name, to write into: zeros, or an earlier call's for the same grid.
            first: begin this many samples further on, those between being known to be unusable.

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
                seen = self._seen(number, (self.seed, epoch, index), grid, out)
            except DataError as error:
                if self.on_bad_image == "stop":
                    raise
                skipped.append((number, str(error)))
                continue
            arrays = {**self._colored(seen, out), **self.encode(seen.sample, grid, out=out)}
            return Item(arrays, seen.sample.name, tuple(skipped), seen.is_emptied)
        raise DataError(f"none of the {len(self)} images can be read; for example {skipped[0][1] if skipped else self.name(index)}")

    def _seen(self, number: int, key: tuple[int, int, int], grid: Grid, out: Mapping[str, Array] | None) -> _Seen:
        boxes, class_ids = self.dataset.objects(number)
        picture, name, is_emptied = self.dataset.picture(number), self.name(number), False
        input_hw = grid.height, grid.width
        if self.transform is None and self.augment is not None:
            image, view, reduction = self._decoded(picture, key, input_hw)
        else:
            image, reduction = picture.decode(), 1
            if self.transform is not None:
                whole = Sample(image=image, boxes=boxes, class_ids=class_ids, name=name)
                varied = self.transform(whole, np.random.default_rng((*key, _TRANSFORM_STREAM)))
                image, boxes, class_ids = varied.image, varied.boxes, varied.class_ids
                is_emptied = len(whole.boxes) > 0 and not len(boxes)
            view = self._view(_sides(image), key, input_hw)
        target = out[IMAGE] if out is not None and self.color_on == "device" else None
        matrix = reduced_matrix(view.matrix, reduction)
        warped = warp(color.with_fourth_channel(image), matrix, input_hw)
        sample = Sample(
            image=color.without_fourth_channel(warped, out=target),
            boxes=transform_boxes(boxes, view.matrix),
            class_ids=class_ids,
            name=name,
        )
        grey = color.grey_mean(warped) if view.change.steps else 0.0
        return _Seen(sample, view.change, grey, covered_rows(matrix, _sides(image), input_hw), is_emptied)

    def _decoded(self, picture: Picture, key: tuple[int, int, int], input_hw: tuple[int, int]) -> tuple[Array, _View, int]:
        """The pixels, as few as the view needs, the view of the whole image, and how many times fewer they are along a side."""
        view = self._view(picture.size, key, input_hw)
        asked = reduction_for(view.matrix)
        image = picture.decode(asked)
        reduction = reduction_of(_sides(image), picture.size, asked=asked)
        if reduction is None:  # the header was wrong about the size
            image = picture.decode()
            return image, self._view(_sides(image), key, input_hw), 1
        return image, view, reduction

    def _view(self, image_hw: tuple[int, int], key: tuple[int, int, int], input_hw: tuple[int, int]) -> _View:
        if self.augment is None:
            return _View(fit_matrix(image_hw, input_hw), ColorChange())
        rng = np.random.default_rng(key)
        matrix, _ = sample_geometry(rng, image_hw, input_hw, self.augment)
        return _View(matrix, sample_color(rng, self.augment))

    def _colored(self, seen: _Seen, out: Mapping[str, Array] | None) -> dict[str, Array]:
        image, change = seen.sample.image, seen.change
        matrix = color.color_matrix(
            self.normalization,
            adjustments=change.steps,
            lighting=change.lighting,
            grey_mean=seen.grey_mean,
        )
        if self.color_on == "host":
            target = None if out is None else out[IMAGE]
            return {IMAGE: color.network_input(image, matrix, channels=self.channels, layout=self.layout, out=target, rows=seen.rows)}
        if out is None:
            return {IMAGE: image, COLOR: matrix.astype(np.float32)}
        out[COLOR][...] = matrix
        return {IMAGE: out[IMAGE], COLOR: out[COLOR]}


def _sides(image: Array) -> tuple[int, int]:
    """(height, width)."""
    return image.shape[0], image.shape[1]
