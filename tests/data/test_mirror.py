"""Where boxes are beside their pixels: what each step between an image and a detection moves them by, in either convention."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.data.augment import AugmentConfig, box_matrix, sample_geometry
from centernet.data.pipeline import Pipeline
from centernet.geometry.affine import compose, transform_boxes
from centernet.geometry.gaussian import gaussian_radius
from centernet.structures import Array, Grid, Normalization, Sample
from centernet.tasks.ctdet.decode import decode_centers
from centernet.tasks.ctdet.targets import encode_centers, ideal_outputs

Convention = Literal["published", "exact"]
SIDE = 64
BOX = np.array([[13.0, 21.0, 33.0, 47.0]])


class Spot:
    """An image with a white rectangle from pixel 13 to 32 and row 21 to 46."""

    normalization: ClassVar = Normalization((0, 0, 0), (1, 1, 1))
    size = SIDE, SIDE

    def __len__(self) -> int:
        return 1

    def name(self, index: int) -> str:
        return "spot"

    def objects(self, index: int) -> tuple[Array, Array]:
        return BOX, np.array([0])

    def picture(self, index: int) -> Any:
        return self

    def decode(self, reduction: int = 1) -> Array:
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        image[21:47, 13:33] = 255
        return image


def middles(mirror: Convention, views: int, flip: float) -> tuple[Array, Array]:
    """(views, 2) each: the middle of the box a perfect network would find, and that of the pixels, with x and y as box edges."""
    augment = AugmentConfig(random_crop=False, shift=0, scale=0, flip=flip, color=False, mirror=mirror)
    encode = partial(encode_centers, num_classes=1, max_objects=4, radius=gaussian_radius, min_overlap=0.7)
    pipeline = Pipeline(Spot(), Grid(SIDE, SIDE), encode, augment=augment)
    found, there = [], []
    for epoch in range(views):
        arrays = pipeline(epoch, 0)
        outputs = ideal_outputs({name: array[None] for name, array in arrays.items()}, cells=(SIDE // 4, SIDE // 4))
        x1, y1, x2, y2 = decode_centers(outputs, k=1, stride=4)[0].boxes[0]
        rows, columns = np.nonzero(arrays["image"][0] > 0.5)
        found.append([(x1 + x2) / 2, (y1 + y2) / 2])
        there.append([(columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2])
    return np.array(found), np.array(there)


@pytest.mark.parametrize(("mirror", "left"), [("published", 1.0), ("exact", 0.0)])
def test_a_perfect_network_finds_mirrored_objects_a_pixel_to_the_left_or_where_they_are(mirror: Convention, left: float) -> None:
    found, there = middles(mirror, 1, flip=1.0)
    np.testing.assert_allclose(there - found, [[left, 0]], atol=1e-5)
    found, there = middles(mirror, 1, flip=0.0)
    np.testing.assert_allclose(there, found, atol=1e-5)


@pytest.mark.parametrize(("mirror", "left"), [("published", 0.5), ("exact", 0.0)])
def test_what_a_network_learns_from_views_half_of_which_are_mirrored_is_biased_by_half_a_pixel_or_not(
    mirror: Convention, left: float
) -> None:
    found, there = middles(mirror, 400, flip=0.5)
    mean = (there - found).mean(axis=0)
    assert mean[0] == pytest.approx(left, abs=0.06 if left else 1e-5)
    assert mean[1] == pytest.approx(0, abs=1e-5)


@given(seed=st.integers(0, 500), is_cropped=st.booleans(), is_mirrored=st.booleans(), width=st.integers(20, 200))
def test_an_exactly_mirrored_view_has_its_boxes_as_far_from_their_pixels_as_any_other_view(
    seed: int, is_cropped: bool, is_mirrored: bool, width: int
) -> None:
    """The middle of pixel i is i to a warp and i + 1/2 to a box, which published views leave out; a detector's view does so too."""
    config = AugmentConfig(random_crop=is_cropped, flip=float(is_mirrored), mirror="exact")
    pixels, is_flipped = sample_geometry(np.random.default_rng(seed), (90, width), (SIDE, SIDE), config)
    assert is_flipped == is_mirrored
    half = np.array([[1.0, 0, 0.5], [0, 1, 0.5]])
    true = compose(compose(half * [1, 1, -1], pixels), half)
    zoom = abs(pixels[0, 0])
    for mirror, expected in (("exact", 0.0), ("published", zoom * is_mirrored)):
        there = transform_boxes(BOX, true)
        found = transform_boxes(BOX, box_matrix(pixels, is_flipped=is_flipped, mirror=mirror))  # type: ignore[arg-type]
        missed = there - found - 0.5 * (1 - zoom)
        np.testing.assert_allclose(missed, [[expected, 0, expected, 0]], atol=1e-6)


@pytest.mark.parametrize("clip", ["published", "exact"])
@pytest.mark.parametrize("side", [64, 63])
def test_a_box_at_the_right_and_bottom_edge_loses_a_cell_or_nothing(clip: Convention, side: int) -> None:
    boxes = np.array([[40.0, 36, side + 9, side], [0, 0, 20, 20], [side - 1, side - 2, side, side], [side - 1e-9, 0, side, 9]])
    sample = Sample(image=np.zeros((side, side, 3), np.uint8), boxes=boxes, class_ids=np.zeros(4))
    grid = Grid(side, side)
    targets = encode_centers(sample, grid, num_classes=1, max_objects=4, radius=gaussian_radius, min_overlap=0.7, clip=clip)
    outputs = ideal_outputs({name: array[None] for name, array in targets.items()}, cells=grid.cells)
    found = decode_centers(outputs, k=3, stride=4)[0].boxes
    right = 60.0 if clip == "published" else float(side)
    assert any(np.allclose(box, [40, 36, right, right], atol=1e-4) for box in found)
    assert any(np.allclose(box, [0, 0, 20, 20], atol=1e-4) for box in found)
    assert any(np.allclose(box, boxes[2], atol=1e-4) for box in found) == (clip == "exact")
