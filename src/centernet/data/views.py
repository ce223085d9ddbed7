"""From an index to pixels and objects in network-input pixels: one image through its view, a mosaic of four, two over each other."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from centernet.data.augment import AugmentConfig, ColorChange, box_matrix, sample_color, sample_geometry
from centernet.data.images import Picture
from centernet.data.mixing import Company, Rect, Tile, cut, draw_company, draw_holes, is_off, tile_matrix
from centernet.errors import DataError
from centernet.geometry.affine import compose, transform_boxes
from centernet.imaging import color
from centernet.imaging.blend import blend
from centernet.imaging.warp import Range, covered_rows, fit_matrix, reduced_matrix, reduction_for, reduction_of, warp
from centernet.structures import Array, Normalization, Sample

# Fourth words of the keys of random numbers; a sample's own key (seed, epoch, index) has a 0 there, the sampler's order a 1, and
# the sizes of the inputs a 3. A fifth word is the number of another image of the sample.
_TRANSFORM, _COMPANY, _BESIDE, _ERASING = 2, 4, 5, 6

Key = tuple[int, int, int]  # seed, epoch, index
Hw = tuple[int, int]


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


class Seen(NamedTuple):
    """A sample in network-input pixels; boxes may reach beyond it. `rows` of its image are not black, see `covered_rows`.

    image: (H, W, 4) uint8, the fourth channel without meaning. skipped: images that could not be beside it, (index, why) each.
    is_emptied: the transform took every object of images that had some.
    """

    image: Array
    boxes: Array
    class_ids: Array
    change: ColorChange
    rows: Range
    is_emptied: bool
    skipped: tuple[tuple[int, str], ...] = ()


class _Layer(NamedTuple):
    """The pixels of an image or several in their places, (H, W, 4) uint8, and their objects in input pixels.

    num_objects: of these images, before and after the transform.
    """

    image: Array
    boxes: Array
    class_ids: Array
    rows: Range
    num_objects: tuple[int, int]


class Views:
    """How the images of a data set are looked at; what is seen depends on the key alone.

    num_epochs: of the training, for what its last epochs do without; None: not known.
    """

    def __init__(self, dataset: Dataset, *, augment: AugmentConfig | None, transform: Transform | None, is_skipping: bool) -> None:
        """Arguments as for `Pipeline`; is_skipping: an image that cannot be beside another gives its place to the next one."""
        self._dataset, self._augment, self._transform, self._is_skipping = dataset, augment, transform, is_skipping
        self.num_epochs: int | None = None

    @property
    def is_late(self) -> bool:
        """Whether the last epochs do without something."""
        return self._augment is not None and any((self._augment.mosaic, self._augment.mixup, self._augment.erasing))

    def company(self, key: Key, input_hw: Hw) -> Company:
        """The other images of a sample."""
        config, (_, epoch, _) = self._augment, key
        if config is None or (config.mosaic is None and config.mixup is None):
            return Company()
        return draw_company(
            np.random.default_rng((*key, _COMPANY)),
            num_images=len(self._dataset),
            input_hw=input_hw,
            mosaic=None if is_off(config.mosaic, epoch, self.num_epochs) else config.mosaic,
            mixup=None if is_off(config.mixup, epoch, self.num_epochs) else config.mixup,
        )

    def see(self, number: int, key: Key, input_hw: Hw, *, is_alone: bool = False) -> Seen:
        """Image `number` as the sample of a key.

        Args:
            is_alone: without the other images that it would have.

        Raises:
            DataError: the image cannot be read; or one beside it, unless those are skipped.
        """
        rng = np.random.default_rng(key)
        company = Company() if is_alone else self.company(key, input_hw)
        own = company.tiles[0] if company.tiles else None
        layer = self._layer(number, rng, (*key, _TRANSFORM), input_hw, own)
        change = ColorChange() if self._augment is None else sample_color(rng, self._augment)
        skipped: list[tuple[int, str]] = []
        if company.tiles:
            others = zip(company.beside, company.tiles[1:], strict=True)
            beside = [self._beside(slot, other, key, input_hw, tile, skipped) for slot, (other, tile) in enumerate(others, 1)]
            layer = _side_by_side([layer, *beside], company.tiles, input_hw)
        if company.over is not None:
            over = self._beside(len(company.images) + 1, company.over, key, input_hw, None, skipped)
            layer = _over_each_other(layer, over, company.share)
        before, after = layer.num_objects
        seen = Seen(layer.image, layer.boxes, layer.class_ids, change, layer.rows, before > 0 and not after, tuple(skipped))
        return self._with_holes(seen, key, input_hw)

    def _beside(self, slot: int, number: int, key: Key, input_hw: Hw, tile: Tile | None, skipped: list[tuple[int, str]]) -> _Layer:
        """Another image of a sample, or the next one that can be read."""
        for step in range(len(self._dataset)):
            other = (number + step) % len(self._dataset)
            try:
                return self._layer(other, np.random.default_rng((*key, _BESIDE, slot)), (*key, _BESIDE, slot, _TRANSFORM), input_hw, tile)
            except DataError as error:
                if not self._is_skipping:
                    raise
                skipped.append((other, str(error)))
        raise DataError(f"{skipped[-1][1]}; nor can any other image be read")

    def _layer(self, number: int, rng: np.random.Generator, transform_key: tuple[int, ...], input_hw: Hw, tile: Tile | None) -> _Layer:
        """One image; on a tile, the layer's image is the tile, but its boxes are in input pixels, cut."""
        boxes, class_ids = self._dataset.objects(number)
        picture, num_before = self._dataset.picture(number), len(boxes)
        if self._transform is None and self._augment is not None:
            image, pixels, for_boxes, reduction = self._decoded(picture, rng, input_hw, tile)
        else:
            image, reduction = picture.decode(), 1
            if self._transform is not None:
                whole = Sample(image=image, boxes=boxes, class_ids=class_ids, name=self._dataset.name(number))
                varied = self._transform(whole, np.random.default_rng(transform_key))
                image, boxes, class_ids = varied.image, varied.boxes, varied.class_ids
            pixels, for_boxes = self._matrices(_sides(image), rng, input_hw, tile)
        num_objects, boxes = (num_before, len(boxes)), transform_boxes(boxes, for_boxes)
        rect = tile.rect if tile is not None else Rect(0, 0, input_hw[1], input_hw[0])
        matrix = reduced_matrix(pixels, reduction) - np.array([[0, 0, rect.left], [0, 0, rect.top]])
        size_hw = rect.bottom - rect.top, rect.right - rect.left
        rows = covered_rows(matrix, _sides(image), size_hw)
        if tile is not None:
            assert self._augment is not None
            assert self._augment.mosaic is not None
            boxes, kept = cut(boxes, rect, min_visible=self._augment.mosaic.min_visible)
            class_ids = class_ids[kept]
        return _Layer(warp(color.with_fourth_channel(image), matrix, size_hw), boxes, class_ids, rows, num_objects)

    def _decoded(self, picture: Picture, rng: np.random.Generator, input_hw: Hw, tile: Tile | None) -> tuple[Array, Array, Array, int]:
        """The pixels, as few as the view needs, the matrices of the whole image, and how many times fewer they are along a side."""
        state = rng.bit_generator.state
        matrices = self._matrices(picture.size, rng, input_hw, tile)
        asked = reduction_for(matrices[0])
        image = picture.decode(asked)
        reduction = reduction_of(_sides(image), picture.size, asked=asked)
        if reduction is None:  # the header was wrong about the size
            image, rng.bit_generator.state = picture.decode(), state
            return image, *self._matrices(_sides(image), rng, input_hw, tile), 1
        return image, *matrices, reduction

    def _matrices(self, image_hw: Hw, rng: np.random.Generator, input_hw: Hw, tile: Tile | None) -> tuple[Array, Array]:
        """From image pixels to input pixels: the pixels' matrix and the boxes'."""
        if self._augment is None:
            matrix = fit_matrix(image_hw, input_hw)
            return matrix, matrix
        matrix, is_flipped = sample_geometry(rng, image_hw, input_hw, self._augment)
        if tile is not None:
            matrix = compose(matrix, tile_matrix(tile, input_hw))
        return matrix, box_matrix(matrix, is_flipped=is_flipped, mirror=self._augment.mirror)

    def _with_holes(self, seen: Seen, key: Key, input_hw: Hw) -> Seen:
        config = None if self._augment is None else self._augment.erasing
        if config is None or is_off(config, key[1], self.num_epochs):
            return seen
        rng = np.random.default_rng((*key, _ERASING))
        top, bottom = seen.rows
        mean = np.rint(np.array(self._dataset.normalization.mean) * 255).astype(np.uint8)
        for hole in draw_holes(rng, seen.boxes, input_hw, config):
            part = seen.image[hole.top : hole.bottom, hole.left : hole.right, :3]
            part[...] = rng.integers(0, 256, part.shape, np.uint8) if config.fill == "noise" else mean
            top, bottom = min(top, hole.top), max(bottom, hole.bottom)
        return seen._replace(rows=(top, bottom))


def _side_by_side(layers: list[_Layer], tiles: tuple[Tile, ...], input_hw: Hw) -> _Layer:
    image = np.empty((*input_hw, 4), np.uint8)
    for layer, (rect, _) in zip(layers, tiles, strict=True):
        image[rect.top : rect.bottom, rect.left : rect.right] = layer.image
    return _together(image, layers, (0, input_hw[0]))


def _over_each_other(layer: _Layer, over: _Layer, share: float) -> _Layer:
    rows = min(layer.rows[0], over.rows[0]), max(layer.rows[1], over.rows[1])
    both = _together(blend(layer.image, over.image, share), [layer, over], rows)
    height, width = _sides(both.image)
    boxes, kept = cut(both.boxes, Rect(0, 0, width, height), min_visible=0)  # others must not take the places of these
    return both._replace(boxes=boxes, class_ids=both.class_ids[kept])


def _together(image: Array, layers: list[_Layer], rows: Range) -> _Layer:
    """The objects of all; num_objects: of all."""
    before, after = (sum(numbers) for numbers in zip(*(layer.num_objects for layer in layers), strict=True))
    boxes = np.concatenate([layer.boxes for layer in layers])
    return _Layer(image, boxes, np.concatenate([layer.class_ids for layer in layers]), rows, (before, after))


def _sides(image: Array) -> Hw:
    """(height, width)."""
    return image.shape[0], image.shape[1]
