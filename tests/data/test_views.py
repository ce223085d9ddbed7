"""Samples of several images, and with holes: boxes stay on the objects, and all depends on seed, epoch and index only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from centernet.data.augment import AugmentConfig
from centernet.data.datasets import shapes
from centernet.data.images import Picture
from centernet.data.loader import Loader
from centernet.data.mixing import ErasingConfig, MixupConfig, MosaicConfig
from centernet.data.pipeline import Pipeline
from centernet.errors import DataError
from centernet.geometry.gaussian import gaussian_radius
from centernet.imaging.io import EncodedImage
from centernet.structures import Array, Grid, Normalization, Sample
from centernet.tasks.ctdet.targets import encode_centers

GRID = Grid(96, 128)
PLAIN = AugmentConfig(random_crop=False, shift=0, scale=0, flip=0, color=False)
MIXED = AugmentConfig(mosaic=MosaicConfig(), mixup=MixupConfig(), erasing=ErasingConfig(of="both"))
SIDES = 90, 120


@dataclass(frozen=True)
class Pixels:
    image: Array

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    def decode(self, reduction: int = 1) -> Array:
        return self.image


@dataclass(frozen=True, kw_only=True)
class Markers:
    """Black images with a blue, a green and a red rectangle of class 0, 1 and 2, each image with others.

    bad cannot be read. deadly raise what no file can be blamed for.
    """

    normalization: ClassVar = Normalization((0, 0, 0), (1, 1, 1))

    num_images: int = 9
    bad: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()
    was_read: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return self.num_images

    def name(self, index: int) -> str:
        return f"{index}.jpg"

    def objects(self, index: int) -> tuple[Array, Array]:
        rng = np.random.default_rng(index)
        corner = rng.integers(2, 50, (3, 2))
        return np.concatenate([corner, corner + rng.integers(12, 36, (3, 2))], axis=1), np.arange(3)

    def picture(self, index: int) -> Picture:
        self.was_read.append(index)
        if index in self.bad:
            raise DataError(f"{index}.jpg: not an image")
        if index in self.deadly:
            raise ZeroDivisionError("a bug")
        image = np.zeros((*SIDES, 3), np.uint8)
        for (left, top, right, bottom), class_id in zip(*self.objects(index), strict=True):
            image[top:bottom, left:right, class_id] = 255
        return Pixels(image)


def encode(sample: Sample, grid: Grid, *, out: Any = None) -> dict[str, Array]:
    return {"boxes": sample.boxes, "class_ids": sample.class_ids}


def seen(augment: AugmentConfig, epoch: int, index: int, **options: Any) -> tuple[Pipeline, Array, Array, Array]:
    """The pipeline, a sample's pixels (H, W, 3) in [0, 1], boxes and class ids."""
    pipeline = Pipeline(options.pop("dataset", Markers()), GRID, encode, augment=augment, layout="nhwc", **options)
    arrays = pipeline(epoch, index)
    return pipeline, arrays["image"], arrays["boxes"], arrays["class_ids"]


def extent(mask: Array) -> Array:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize(
    "view", [PLAIN, AugmentConfig(color=False), AugmentConfig(color=False, mirror="exact")], ids=["whole", "views", "exact"]
)
def test_on_every_tile_boxes_are_where_their_objects_are(view: AugmentConfig) -> None:
    augment, compared = replace(view, mosaic=MosaicConfig(probability=1, min_visible=0)), 0
    for epoch in range(12):
        pipeline, image, boxes, class_ids = seen(augment, epoch, epoch % 9)
        for (left, top, right, bottom), _ in pipeline.views.company((0, epoch, epoch % 9), (96, 128)).tiles:
            middle = (boxes[:, :2] + boxes[:, 2:]) / 2
            on_tile = ((middle > (left, top)) & (middle < (right, bottom))).all(axis=1)
            for class_id in range(3):
                mine = boxes[on_tile & (class_ids == class_id)]
                visible = image[top:bottom, left:right, class_id] > 0.5
                if not len(mine):
                    assert visible.sum() <= 2 * max(right - left, bottom - top), "an object is there without its box"
                elif (mine[0, 2:] - mine[0, :2]).min() > 3:
                    np.testing.assert_allclose(extent(visible), mine[0] - [left, top, left, top], atol=2)
                    compared += 1
    assert compared > 60


def test_of_an_object_at_a_tiles_edge_a_share_must_be_visible() -> None:
    def number(min_visible: float) -> int:
        augment = AugmentConfig(color=False, mosaic=MosaicConfig(probability=1, min_visible=min_visible))
        return sum(len(seen(augment, epoch, 0)[2]) for epoch in range(10))

    assert number(0.0) > number(0.4) > number(0.9) > 0


def test_of_two_images_over_each_other_all_objects_have_their_boxes() -> None:
    augment = replace(PLAIN, random_crop=True, mixup=MixupConfig(probability=1))
    for epoch in range(12):
        _, image, boxes, class_ids = seen(augment, epoch, epoch % 9)
        for class_id in range(3):
            visible, mine = image[..., class_id] > 0.2, boxes[class_ids == class_id]
            assert len(mine) <= 2
            if len(mine):
                np.testing.assert_allclose(extent(visible), [*mine[:, :2].min(0), *mine[:, 2:].max(0)], atol=2)
            else:
                assert not visible.any()


def test_erasing_leaves_the_boxes_and_changes_pixels_in_its_rectangles_only() -> None:
    for of, fill in (("image", "noise"), ("objects", "noise"), ("both", "mean")):
        erasing: Any = ErasingConfig(probability=1, of=of, fill=fill, area=(0.1, 0.2))
        for epoch in range(5):
            _, plain, boxes, _ = seen(PLAIN, epoch, 1)
            _, holed, same, _ = seen(replace(PLAIN, erasing=erasing), epoch, 1)
            np.testing.assert_array_equal(boxes, same)
            if fill == "noise":
                changed = (plain != holed).any(axis=2)
                assert 0.005 < changed.mean() < 0.21


def test_a_hole_may_be_where_the_image_has_ended() -> None:
    """Rows that are black without it are not computed."""

    class Flat(Markers):
        def picture(self, index: int) -> Picture:
            return Pixels(np.full((10, 120, 3), 255, np.uint8))

    erasing = ErasingConfig(probability=1, area=(0.8, 0.9), aspect=(1, 1))
    _, image, _, _ = seen(replace(PLAIN, erasing=erasing), 0, 0, dataset=Flat())
    assert (image.max(axis=(1, 2)) > 0).sum() > 75


def test_the_mean_colour_is_nothing_to_the_network() -> None:
    class Coloured(Markers):
        normalization: ClassVar = Normalization((0.2, 0.4, 0.6), (1, 1, 1))

    erasing = ErasingConfig(probability=1, area=(0.1, 0.2), fill="mean")
    plain, holed = (seen(replace(PLAIN, erasing=each), 0, 1, dataset=Coloured())[1] for each in (None, erasing))
    changed = np.abs(plain - holed).max(axis=2) > 0.01
    assert 0.09 < changed.mean() < 0.21
    assert np.abs(holed[changed]).max() < 0.003


@pytest.mark.parametrize("color_on", ["host", "device"])
def test_a_sample_written_in_place_equals_one_on_its_own_and_colours_on_the_device_are_the_same(color_on: Any) -> None:
    encoder = partial(encode_centers, num_classes=3, max_objects=32, radius=gaussian_radius, min_overlap=0.7)
    pipeline, host = (Pipeline(Markers(), GRID, encoder, augment=MIXED, color_on=where, seed=3) for where in (color_on, "host"))
    out = {name: np.zeros(shape, dtype) for name, (shape, dtype) in pipeline.specs(0).items()}
    for index in range(9):
        arrays, expected = pipeline.item(1, index, out=out).arrays, pipeline(1, index)
        for name, array in expected.items():
            assert arrays[name] is out[name]
            np.testing.assert_array_equal(arrays[name], array, err_msg=name)
        if color_on == "device":
            levels = np.concatenate([arrays["image"], np.ones((96, 128, 1))], axis=2)
            np.testing.assert_allclose((levels @ arrays["color"].T).transpose(2, 0, 1), host(1, index)["image"], atol=1e-4)


def test_the_view_and_the_colours_of_the_samples_own_image_are_those_it_has_alone() -> None:
    mixup = replace(AugmentConfig(), mixup=MixupConfig(probability=1))
    _, _, alone, _ = seen(AugmentConfig(), 4, 2)
    _, _, together, _ = seen(mixup, 4, 2)
    inside = ((alone[:, 2:] > 0) & (alone[:, :2] < [128, 96])).all(axis=1)
    clipped = np.clip(alone[inside], 0, [128, 96, 128, 96])
    np.testing.assert_allclose(together[: len(clipped)], clipped, atol=1e-5)


def test_another_seed_epoch_or_index_gives_other_company() -> None:
    def company(seed: int, epoch: int, index: int) -> Any:
        pipeline = Pipeline(Markers(num_images=1000), GRID, encode, augment=replace(PLAIN, mosaic=MosaicConfig(probability=1)), seed=seed)
        return pipeline.partners(epoch, index)

    assert company(0, 0, 0) == company(0, 0, 0)
    assert len({company(0, 0, 0), company(1, 0, 0), company(0, 1, 0), company(0, 0, 1)}) == 4


def test_the_last_epochs_of_a_training_are_those_of_one_without() -> None:
    plain = Pipeline(Markers(), GRID, encode, augment=AugmentConfig())
    mixed = Pipeline(Markers(), GRID, encode, augment=replace(MIXED, mosaic=MosaicConfig(probability=1), erasing=None))
    assert mixed.plan(10)
    assert not mixed.plan(10)
    assert not plain.plan(10)
    for epoch, is_same in ((8, False), (9, True)):
        assert [np.array_equal(mixed(epoch, index)["image"], plain(epoch, index)["image"]) for index in range(9)] == [is_same] * 9
    assert mixed.partners(9, 0) == ()


def test_an_image_that_cannot_be_read_gives_its_place_in_a_mosaic_to_the_next_one() -> None:
    augment = replace(PLAIN, mosaic=MosaicConfig(probability=1), mixup=MixupConfig(probability=1))
    dataset = Markers(bad=(4, 5))
    pipeline = Pipeline(dataset, GRID, encode, augment=augment, on_bad_image="skip")
    beside = [index for index in range(4) if {4, 5} & {*pipeline.partners(0, index)}]
    assert beside
    for index in beside:
        item = pipeline.item(0, index)
        assert item.name == f"{index}.jpg"
        assert {number for number, _ in item.skipped} <= {4, 5}
        assert all(text == f"{number}.jpg: not an image" for number, text in item.skipped)
        assert item.skipped
    with pytest.raises(DataError, match=r"^[45]\.jpg: not an image"):
        Pipeline(dataset, GRID, encode, augment=augment)(0, beside[0])


def test_a_sample_that_fails_without_a_file_to_blame_is_tried_alone_so_that_only_the_culprit_is_lost() -> None:
    augment = replace(PLAIN, mosaic=MosaicConfig(probability=1))
    encoder = partial(encode_centers, num_classes=3, max_objects=32, radius=gaussian_radius, min_overlap=0.7)
    pipeline = Pipeline(Markers(deadly=(4,)), GRID, encoder, augment=augment)
    reads = []
    names: list[str] = []
    with Loader(pipeline, global_batch=3, on_bad="skip") as loader:
        for epoch in range(3):
            names += [name for batch in loader.epoch(epoch) for name in batch.names]
            reads.append(pipeline.dataset.was_read.count(4))
    assert reads[0] == reads[2] > 0, "what is known to be lost is not tried again, not even beside others"
    assert {*loader.bad_images} == {4}
    assert sorted({*names}) == [f"{index}.jpg" for index in range(9) if index != 4]
    number = next(index for index in range(9) if index != 4 and 4 in pipeline.partners(0, index))
    with pytest.raises(DataError, match=rf"^{number}\.jpg \(beside .*4\.jpg.*\): this sample failed: ZeroDivisionError"):
        next(Loader(pipeline, global_batch=1, shuffle=False).epoch(0, number))


def test_batches_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    dataset = shapes.open_split(shapes.Config(num_train=8, num_val=2, image_size=64), tmp_path, "train")
    encoder = partial(encode_centers, num_classes=5, max_objects=32, radius=gaussian_radius, min_overlap=0.7)
    pipeline = Pipeline(dataset, Grid(64, 64), encoder, augment=MIXED, seed=1)

    def batches(workers: int) -> list[bytes]:
        with Loader(pipeline, global_batch=4, workers=workers, seed=1) as loader:
            return [b"".join(array.tobytes() for array in batch.arrays.values()) for epoch in (0, 1) for batch in loader.epoch(epoch)]

    assert batches(0) == batches(2)


def test_every_image_of_a_mosaic_is_transformed_by_itself_and_it_is_empty_only_when_all_are() -> None:
    drawn: list[float] = []
    taken: list[str] = []

    def emptied(sample: Sample, rng: np.random.Generator) -> Sample:
        drawn.append(rng.random())
        return replace(sample, boxes=np.zeros((0, 4)), class_ids=np.zeros(0)) if sample.name in taken else sample

    augment = replace(PLAIN, mosaic=MosaicConfig(probability=1))
    pipeline = Pipeline(Markers(), GRID, encode, augment=augment, transform=emptied)
    images = [2, *pipeline.partners(0, 2)]
    assert not pipeline.item(0, 2).is_emptied
    assert len({*drawn}) == 4
    taken.append("2.jpg")
    assert not pipeline.item(0, 2).is_emptied
    taken += [f"{index}.jpg" for index in images]
    assert pipeline.item(0, 2).is_emptied


def test_images_of_a_mosaic_are_decoded_as_small_as_their_tiles_allow() -> None:
    asked: list[int] = []
    data = cv2.imencode(".jpg", np.full((900, 1200, 3), 90, np.uint8))[1].tobytes()

    class Noted(EncodedImage):
        def decode(self, reduction: int = 1) -> Array:
            asked.append(reduction)
            return super().decode(reduction)

    class Large(Markers):
        def picture(self, index: int) -> Picture:
            return Noted(data, "large.jpg")

    grid = Grid(512, 512)
    Pipeline(Large(), grid, encode, augment=PLAIN)(0, 0)
    Pipeline(Large(), grid, encode, augment=replace(PLAIN, mosaic=MosaicConfig(probability=1, zoom=(0.5, 0.5))))(0, 0)
    assert asked == [2, 4, 4, 4, 4]
