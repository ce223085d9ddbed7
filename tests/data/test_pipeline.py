from __future__ import annotations

import pickle
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar

import cv2
import numpy as np
import pytest

from centernet.data.augment import AugmentConfig
from centernet.data.images import Picture
from centernet.data.pipeline import ColorOn, Encode, Pipeline
from centernet.errors import DataError
from centernet.geometry.gaussian import gaussian_radius
from centernet.imaging.color import Layout
from centernet.imaging.io import EncodedImage
from centernet.structures import Array, Grid, Normalization, Sample
from centernet.tasks.ctdet.targets import encode_centers

NORMALIZATION = Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
PLAIN = Normalization((0, 0, 0), (1, 1, 1))
GRID = Grid(32, 64)


@dataclass(frozen=True)
class Pixels:
    """A picture that is decoded already, or says it has another size than it has."""

    image: Array
    claimed: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.claimed or (self.image.shape[0], self.image.shape[1])

    def decode(self, reduction: int = 1) -> Array:
        return self.image


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Four images of random pixels with one box each; the numbers in `bad` cannot be read."""

    normalization: ClassVar = NORMALIZATION

    bad: tuple[int, ...] = ()

    def __len__(self) -> int:
        return 4

    def name(self, index: int) -> str:
        return f"{index}.jpg"

    def objects(self, index: int) -> tuple[Array, Array]:
        return np.array([[10, 10, 30, 25]]), np.array([index])

    def picture(self, index: int) -> Pixels:
        if index in self.bad:
            raise DataError(f"{index}.jpg: not an image")
        return Pixels(np.random.default_rng(index).integers(0, 256, (40, 60, 3), dtype=np.uint8))


def encode(sample: Sample, grid: Grid, *, out: Mapping[str, Array] | None = None) -> dict[str, Array]:
    assert sample.image.shape == (grid.height, grid.width, 3)
    return {"boxes": sample.boxes, "class_ids": sample.class_ids}


def encode_centers_of(num_classes: int) -> Encode:
    return partial(encode_centers, num_classes=num_classes, max_objects=8, radius=gaussian_radius, min_overlap=0.7)


def test_without_augmentation_the_image_is_fitted_and_normalised_and_boxes_follow() -> None:
    arrays = Pipeline(Pictures(), GRID, encode)(0, 2)
    assert arrays["image"].shape == (3, 32, 64)
    assert arrays["image"].dtype == np.float32
    zoom = 64 / 60
    shift = 16 - 20 * zoom
    np.testing.assert_allclose(arrays["boxes"], [[10 * zoom, 10 * zoom + shift, 30 * zoom, 25 * zoom + shift]], rtol=1e-6)
    assert arrays["class_ids"].tolist() == [2]


def test_pixels_are_bgr_minus_mean_over_std_and_the_border_is_black() -> None:
    class Tall(Pictures):
        def picture(self, index: int) -> Pixels:
            return Pixels(np.full((64, 32, 3), (10, 20, 30), np.uint8))

    image = Pipeline(Tall(), Grid(64, 64), encode)(0, 0)["image"]
    expected = (np.array([10, 20, 30]) / 255 - NORMALIZATION.mean) / NORMALIZATION.std
    np.testing.assert_allclose(image[:, 32, 32], expected, atol=1e-5)
    np.testing.assert_allclose(image[:, 32, 2], -np.array(NORMALIZATION.mean) / NORMALIZATION.std, atol=1e-5)


def test_layout_channels_and_normalization_can_be_chosen() -> None:
    pipeline = Pipeline(Pictures(), GRID, encode, channels=4, layout="nhwc", normalization=Normalization((0, 0, 0), (1, 1, 1)))
    image = pipeline(0, 0)["image"]
    assert image.shape == (32, 64, 4)
    assert not image[..., 3].any()
    assert image[..., :3].max() == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(
        Pipeline(Pictures(), GRID, encode, channels=4)(0, 0)["image"][:3], Pipeline(Pictures(), GRID, encode)(0, 0)["image"]
    )


def test_colour_augmentation_equals_one_operation_after_the_other_on_floats() -> None:
    config = AugmentConfig(random_crop=False, shift=0, scale=0, flip=0)
    plain = Pipeline(Pictures(), GRID, encode, normalization=Normalization((0, 0, 0), (1, 1, 1)))
    varied = Pipeline(Pictures(), GRID, encode, augment=config, seed=3)
    for index in range(4):
        x = plain(0, index)["image"].astype(np.float64)
        rng = np.random.default_rng((3, 5, index))
        rng.standard_normal(2), rng.standard_normal(), rng.random(), rng.random(), rng.uniform()  # the view's share of the draws
        factors = 1 + rng.uniform(-1, 1, 3) * 0.4
        grey = np.tensordot([0.114, 0.587, 0.299], x, 1)
        for step in rng.permutation(3):
            x = factors[step] * x + (1 - factors[step]) * (0.0, grey.mean(), grey)[step]
        x = x + (np.array(config.eigen_vectors) @ (rng.standard_normal(3) * 0.1 * config.eigen_values))[:, None, None]
        expected = (x - np.array(NORMALIZATION.mean)[:, None, None]) / np.array(NORMALIZATION.std)[:, None, None]
        np.testing.assert_allclose(varied(5, index)["image"], expected, atol=2e-4)


def test_the_same_seed_epoch_and_index_give_the_same_bytes_in_any_thread() -> None:
    def run(index: int) -> bytes:
        arrays = Pipeline(Pictures(), GRID, encode, augment=AugmentConfig(), seed=1)(2, index)
        return b"".join(array.tobytes() for array in arrays.values())

    alone = [run(index) for index in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == alone


def test_another_seed_epoch_or_index_gives_another_view() -> None:
    def image(seed: int, epoch: int, index: int) -> bytes:
        return Pipeline(Pictures(), GRID, encode, augment=AugmentConfig(), seed=seed)(epoch, index)["image"].tobytes()

    assert len({image(0, 0, 0), image(1, 0, 0), image(0, 1, 0), image(0, 0, 1)}) == 4


def test_augmented_boxes_lie_on_the_objects() -> None:
    class Spot(Pictures):
        def objects(self, index: int) -> tuple[Array, Array]:
            return np.array([[40, 30, 70, 50]]), np.array([0])

        def picture(self, index: int) -> Pixels:
            image = np.zeros((80, 100, 3), np.uint8)
            image[30:50, 40:70] = 255
            return Pixels(image)

    pipeline = Pipeline(
        Spot(), Grid(128, 128), encode,
        augment=AugmentConfig(color=False, rotation_degrees=0), normalization=Normalization((0, 0, 0), (1, 1, 1)),
    )  # fmt: skip
    for epoch in range(30):
        arrays = pipeline(epoch, 0)
        rows, columns = np.nonzero(arrays["image"][0] > 0.5)
        x1, y1, x2, y2 = np.clip(arrays["boxes"][0], 0, 128)
        if min(x2 - x1, y2 - y1) > 4:
            np.testing.assert_allclose([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], [x1, y1, x2, y2], atol=2.5)


def test_colours_left_to_the_device_give_the_same_image() -> None:
    augment = AugmentConfig()
    host = Pipeline(Pictures(), GRID, encode, augment=augment)
    device = Pipeline(Pictures(), GRID, encode, augment=augment, color_on="device")
    out = {name: np.zeros(shape, dtype) for name, (shape, dtype) in device.specs(0).items()}
    for index in range(4):
        arrays = device.item(7, index, out=out).arrays
        assert (arrays["image"] is out["image"], arrays["color"] is out["color"]) == (True, True)
        np.testing.assert_array_equal(arrays["image"], device(7, index)["image"])
        levels = np.concatenate([arrays["image"], np.ones((32, 64, 1))], axis=2)
        np.testing.assert_allclose((levels @ arrays["color"].T).transpose(2, 0, 1), host(7, index)["image"], atol=1e-4)


@pytest.mark.parametrize("color_on", ["host", "device"])
@pytest.mark.parametrize(("layout", "channels"), [("nchw", 3), ("nhwc", 4)])
def test_the_specs_are_what_items_are_made_of(color_on: ColorOn, layout: Layout, channels: int) -> None:
    pipeline = Pipeline(Pictures(), GRID, encode_centers_of(4), channels=channels, layout=layout, color_on=color_on)
    arrays = pipeline(0, 1)
    assert pipeline.specs(0) == {name: (array.shape, array.dtype) for name, array in arrays.items()}


def test_sizes_alternate_by_epoch_and_each_comes_once_a_turn() -> None:
    grids = (GRID, Grid(64, 64), Grid(32, 32))
    pipeline = Pipeline(Pictures(), grids[0], encode_centers_of(4), more_grids=grids[1:], seed=3)
    chosen = [pipeline.grid_of(epoch) for epoch in range(30)]
    assert all({*chosen[first : first + 3]} == {*grids} for first in range(0, 30, 3))
    assert len({tuple(chosen[first : first + 3]) for first in range(0, 30, 3)}) > 1
    assert chosen == [pickle.loads(pickle.dumps(pipeline)).grid_of(epoch) for epoch in range(30)]
    for epoch in range(3):
        assert pipeline(epoch, 0)["image"].shape == (3, chosen[epoch].height, chosen[epoch].width) == pipeline.specs(epoch)["image"][0]


def test_a_transform_sees_the_whole_image_and_leaves_the_view_as_it_was() -> None:
    def darker(sample: Sample, rng: np.random.Generator) -> Sample:
        assert sample.image.shape == (40, 60, 3)
        rng.random(1000)
        return replace(sample, image=sample.image // 2)

    plain, varied = (Pipeline(Pictures(), GRID, encode, augment=AugmentConfig(color=False), transform=t) for t in (None, darker))
    np.testing.assert_array_equal(plain(1, 2)["boxes"], varied(1, 2)["boxes"])
    assert varied(1, 2)["image"].sum() < plain(1, 2)["image"].sum()


def test_what_a_transform_draws_depends_on_seed_epoch_and_index() -> None:
    drawn = []

    def note(sample: Sample, rng: np.random.Generator) -> Sample:
        drawn.append(rng.random())
        return sample

    for seed, epoch, index in [(0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]:
        Pipeline(Pictures(), GRID, encode, transform=note, seed=seed).item(epoch, index)
    assert drawn[0] == drawn[1]
    assert len({*drawn}) == 4


def test_a_transform_that_takes_every_object_leaves_an_empty_image_that_is_marked() -> None:
    def emptied(sample: Sample, rng: np.random.Generator) -> Sample:
        return replace(sample, boxes=np.zeros((0, 4)), class_ids=np.zeros(0))

    class Unlabelled(Pictures):
        def objects(self, index: int) -> tuple[Array, Array]:
            return np.zeros((0, 4)), np.zeros(0)

    item = Pipeline(Pictures(), GRID, encode, transform=emptied).item(0, 0)
    assert (item.is_emptied, len(item.arrays["boxes"])) == (True, 0)
    assert not Pipeline(Pictures(), GRID, encode, transform=lambda sample, rng: sample).item(0, 0).is_emptied
    assert not Pipeline(Unlabelled(), GRID, encode, transform=emptied).item(0, 0).is_emptied


@dataclass(frozen=True)
class Waves(Pictures):
    """One large JPEG of waves that are much longer than a pixel of the input, and what was asked of it."""

    data: bytes
    is_whole: bool = False
    asked: list[int] = field(default_factory=list)

    def picture(self, index: int) -> Picture:
        encoded, waves = EncodedImage(self.data, "waves.jpg"), self

        class Noted:
            size = encoded.size

            def decode(self, reduction: int = 1) -> Array:
                waves.asked.append(reduction)
                return encoded.decode(1 if waves.is_whole else reduction)

        return Noted()


def test_a_large_jpeg_is_decoded_smaller_and_seen_at_the_same_place() -> None:
    y, x = np.mgrid[:601, :807]
    image = np.repeat(128 + 50 * np.sin(x / 40) + 50 * np.cos(y / 50), 3).reshape(601, 807, 3)
    data = cv2.imencode(".jpg", image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    grid, config = Grid(96, 128), AugmentConfig(color=False, rotation_degrees=20)
    small, whole = Waves(data), Waves(data, is_whole=True)
    for epoch in range(6):
        one, other = (Pipeline(waves, grid, encode, augment=config, normalization=PLAIN)(epoch, 0) for waves in (small, whole))
        np.testing.assert_array_equal(one["boxes"], other["boxes"])
        inside = np.minimum(one["image"], other["image"]).min(axis=0) > 0.05  # neither is black
        assert inside.mean() > 0.2
        # A view that lay half a pixel of the smaller image beside would differ by 4 levels or more.
        assert np.abs(one["image"] - other["image"])[:, inside].mean() * 255 < 1
    assert {*small.asked} == {4, 8}


def test_whole_images_are_not_decoded_smaller() -> None:
    waves = Waves(cv2.imencode(".jpg", np.zeros((600, 800, 3), np.uint8))[1].tobytes())
    Pipeline(waves, GRID, encode)(0, 0)
    Pipeline(waves, GRID, encode, augment=AugmentConfig(), transform=lambda sample, rng: sample)(0, 0)
    assert waves.asked == [1, 1]


def test_a_header_that_is_wrong_about_the_size_does_no_harm() -> None:
    class Liars(Pictures):
        def picture(self, index: int) -> Pixels:
            return replace(super().picture(index), claimed=(60, 40))

    for index in range(4):
        expected = Pipeline(Pictures(), GRID, encode, augment=AugmentConfig())(0, index)
        arrays = Pipeline(Liars(), GRID, encode, augment=AugmentConfig())(0, index)
        np.testing.assert_array_equal(arrays["image"], expected["image"])
        np.testing.assert_array_equal(arrays["boxes"], expected["boxes"])


def test_an_image_is_written_where_the_caller_wants_it() -> None:
    pipeline = Pipeline(Pictures(), GRID, encode)
    slot = np.zeros((3, 32, 64), np.float32)
    item = pipeline.item(0, 1, out={"image": slot})
    assert item.arrays["image"] is slot
    assert item.name == "1.jpg"
    np.testing.assert_array_equal(slot, pipeline(0, 1)["image"])


def test_a_bad_image_stops_by_default() -> None:
    with pytest.raises(DataError, match=r"2\.jpg: not an image"):
        Pipeline(Pictures(bad=(2,)), GRID, encode)(0, 2)


def test_skipping_puts_the_next_sample_in_its_place_and_tells_which_and_why() -> None:
    pipeline = Pipeline(Pictures(bad=(2, 3)), GRID, encode, on_bad_image="skip")
    items = [pipeline.item(0, index) for index in (2, 3, 1)]
    assert [item.name for item in items] == ["0.jpg", "0.jpg", "1.jpg"]
    assert [item.skipped for item in items] == [((2, "2.jpg: not an image"), (3, "3.jpg: not an image")), ((3, "3.jpg: not an image"),), ()]


def test_samples_known_to_be_unusable_are_not_tried_again() -> None:
    pipeline = Pipeline(Pictures(bad=(1,)), GRID, encode)
    item = pipeline.item(0, 1, first=1)
    assert (item.name, item.skipped) == ("2.jpg", ())
    np.testing.assert_array_equal(item.arrays["class_ids"], [2])


def test_if_no_image_can_be_read_skipping_is_an_error_too() -> None:
    with pytest.raises(DataError, match=r"none of the 4 images can be read; for example 1\.jpg: not an image"):
        Pipeline(Pictures(bad=(0, 1, 2, 3)), GRID, encode, on_bad_image="skip")(0, 1)
