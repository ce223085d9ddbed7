"""Every transform of albumentations: refused with a reason, or boxes move with the image and all chance comes from the generator."""

from __future__ import annotations

import functools
import pickle
import random
from typing import Any

import numpy as np
import pytest

from centernet.data.transform_library import load_library, supported
from centernet.data.transforms import LibraryTransform, TransformConfig, build
from centernet.errors import ConfigError
from centernet.structures import Array, Sample

LIBRARY = load_library()
HEIGHT, WIDTH = 180, 240
BOXES = np.array([[30, 38, 82, 90], [135, 45, 202, 83], [98, 112, 150, 165]], np.float32)  # one for each channel of the image
VIEWS = 4

FLIP = [{"name": "HorizontalFlip"}, {"name": "VerticalFlip"}]
TURN = {"rotate": [-45, 45], "scale": [0.7, 1.3], "translate_percent": [-0.1, 0.1], "shear": [-10, 10]}
HOLES = {"num_holes_range": [1, 3], "hole_height_range": [0.1, 0.3], "hole_width_range": [0.1, 0.3]}
# What to test a transform with where its defaults do not say: required arguments, and those that take another way through it.
ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "Affine": [TURN, {"rotate": [-45, 45], "fit_output": True}, {"scale": {"x": [0.5, 1.5], "y": [0.8, 1.2]}}],
    "AtLeastOneBBoxRandomCrop": [{"height": 90, "width": 120}],
    "CenterCrop": [{"height": 90, "width": 150}],
    "CenterCrop3D": [{"size": [2, 2, 2]}],
    "CoarseDropout": [{}, HOLES],
    "ConstrainedCoarseDropout": [{**HOLES, "bbox_labels": [0, 2]}],
    "Crop": [{"x_min": 20, "y_min": 10, "x_max": 200, "y_max": 150}],
    "CropAndPad": [{"px": [-20, 30]}, {"percent": [-0.1, 0.1], "keep_size": False}],
    "CropNonEmptyMaskIfExists": [{"height": 90, "width": 90}],
    "FrequencyMasking": [{"freq_mask_param": 20}],
    "GridDropout": [{}, {"random_offset": True, "ratio": 0.3}],
    "GridElasticDeform": [{"num_grid_xy": [4, 4], "magnitude": 10}],
    "LongestMaxSize": [{"max_size": 160}],
    "OneOf": [{"transforms": FLIP}],
    "OneOrOther": [{"transforms": FLIP}],
    "OpticalDistortion": [{"distort_limit": 0.5}, {"mode": "fisheye"}],
    "Pad": [{"padding": [10, 20, 30, 40]}],
    "Pad3D": [{"padding": 2}],
    "PadIfNeeded": [{"min_height": 200, "min_width": 300}],
    "PadIfNeeded3D": [{"min_zyx": [2, 2, 2]}],
    "Perspective": [{}, {"fit_output": True}, {"keep_size": False}],
    "RandomCrop": [{"height": 90, "width": 150}, {"height": 300, "width": 300, "pad_if_needed": True}],
    "RandomCrop3D": [{"size": [2, 2, 2]}],
    "RandomOrder": [{"transforms": FLIP, "n": 2}],
    "RandomResizedCrop": [{"size": [120, 150]}],
    "RandomScale": [{"scale_limit": 0.5}],
    "RandomSizedBBoxSafeCrop": [{"height": 120, "width": 150}],
    "RandomSizedCrop": [{"min_max_height": [80, 150], "size": [120, 150]}],
    "Resize": [{"height": 120, "width": 150}],
    "Rotate": [{}, {"limit": 30, "crop_border": True}],
    "Sequential": [{"transforms": FLIP}],
    "SmallestMaxSize": [{"max_size": 150}],
    "SomeOf": [{"transforms": FLIP, "n": 1}],
    "TextImage": [{"font_path": "font.ttf"}],
    "TimeMasking": [{"time_mask_param": 20}],
    "XYMasking": [{"num_masks_x": 2, "num_masks_y": 2, "mask_x_length": 15, "mask_y_length": 15}],
}
REFUSED = {
    **dict.fromkeys(("CenterCrop3D", "CoarseDropout3D", "CubicSymmetry", "Pad3D", "PadIfNeeded3D", "RandomCrop3D"), "works on volumes"),
    **dict.fromkeys(("Compose", "ReplayCompose"), "is what the list is already"),
    "CropNonEmptyMaskIfExists": "find mask",
    "FDA": "needs fda_metadata",
    "FromFloat": "makes images of float",
    "HistogramMatching": "needs hm_metadata",
    "Lambda": "needs functions",
    "MaskDropout": "needs mask",
    "Morphological": "gives every object the same box",
    "Mosaic": "needs mosaic_metadata",
    "Normalize": "makes images of float",
    "OverlayElements": "does not move boxes",
    "PixelDistributionAdaptation": "needs pda_metadata",
    "RandomCropNearBBox": "needs cropping_bbox",
    "SelectiveChannelTransform": "does not move boxes",
    "TextImage": "needs textimage_metadata",
    "ToFloat": "makes images of float",
    "ToRGB": "already an RGB",
    "ToTensorV2": "",  # the library has it where PyTorch is installed
}
# Boxes around what is bent or seen in part, which the library finds from corners or on a coarse grid: further off than a pixel or two.
ROUGH = {"PiecewiseAffine": 8.0, "ThinPlateSpline": 8.0, "Perspective": 15.0, "Rotate": 12.0}
EXACT = 2.0  # pixels
SPECKLES = ("PixelDropout",)  # extents of what is left say nothing
SLOW = ("PiecewiseAffine",)

CASES = [
    pytest.param(name, arguments, id=f"{name}-{number}" if number else name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in sorted(supported(LIBRARY))
    if name not in REFUSED
    for number, arguments in enumerate(ARGUMENTS.get(name, [{}]))
]
MOVING = [case for case in CASES if not issubclass(supported(LIBRARY)[str(case.values[0])], LIBRARY.ImageOnlyTransform)]
COLORING = [case for case in CASES if case not in MOVING]


def config(name: str, arguments: dict[str, Any]) -> TransformConfig:
    options = dict(arguments)
    members = options.pop("transforms", None)
    listed = None if members is None else tuple(TransformConfig(name=member["name"], arguments={"p": 1.0}) for member in members)
    return TransformConfig(name=name, arguments={"p": 1.0, **options}, transforms=listed)


@functools.cache
def _built(name: str, number: int) -> LibraryTransform:
    return build([config(name, ARGUMENTS.get(name, [{}])[number])])


def built(name: str, arguments: dict[str, Any]) -> LibraryTransform:
    return _built(name, ARGUMENTS.get(name, [{}]).index(arguments))


def markers() -> Sample:
    """A black image with a blue, a green and a red rectangle of class 0, 1 and 2."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for class_id, (left, top, right, bottom) in enumerate(BOXES.astype(int)):
        image[top:bottom, left:right, class_id] = 255
    return Sample(image=image, boxes=BOXES, class_ids=np.arange(3), name="markers")


def texture() -> Sample:
    """Random grey blotches, none so bright that an inversion of the bright ones alone (Solarize) touches it."""
    rng = np.random.default_rng(5)
    coarse = np.kron(rng.integers(10, 120, (HEIGHT // 12, WIDTH // 12)), np.ones((12, 12)))
    return Sample(image=np.repeat(coarse[..., None], 3, 2).astype(np.uint8), boxes=BOXES, class_ids=np.arange(3), name="texture")


def extent(mask: Array) -> Array:
    """xyxy around what is set."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def marker(image: Array, class_id: int) -> Array:
    """Where an image has the colour of a class."""
    bright = image > 127
    return np.asarray(bright[..., class_id] & (bright.sum(2) == 1))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", [name for name in sorted(supported(LIBRARY)) if name in REFUSED])
def test_a_transform_that_cannot_be_used_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^data\.augment\.transforms\.0: {name}.*{REFUSED[name]}"):
        build([config(name, ARGUMENTS.get(name, [{}])[0])])


@pytest.mark.parametrize(("name", "arguments"), MOVING)
def test_boxes_move_with_the_image(name: str, arguments: dict[str, Any]) -> None:
    transform, sample = built(name, arguments), markers()
    seen, distances = 0, []
    for view in range(VIEWS):
        result = transform(sample, np.random.default_rng(view))
        for class_id in range(3):
            visible, boxes = marker(result.image, class_id), result.boxes[result.class_ids == class_id]
            if not len(boxes):
                assert visible.sum() <= 0.1 * np.prod(BOXES[class_id, 2:] - BOXES[class_id, :2]), "a box is lost, but its object is there"
                continue
            seen += 1
            around = np.array([*boxes[:, :2].min(0), *boxes[:, 2:].max(0)])
            if name not in SPECKLES:
                distances.append(np.abs(extent(visible) - around).max())
    assert seen >= VIEWS
    assert max(distances, default=0) <= ROUGH.get(name, EXACT)
    assert np.median(distances or [0]) <= EXACT


@pytest.mark.parametrize(("name", "arguments"), COLORING)
def test_a_transform_that_leaves_the_boxes_leaves_what_is_in_them_where_it_was(name: str, arguments: dict[str, Any]) -> None:
    transform, sample = built(name, arguments), texture()
    total: Array = np.zeros((HEIGHT, WIDTH))
    spectrum = np.fft.fft2(sample.image[..., 0] - sample.image[..., 0].mean())
    for view in range(VIEWS):
        result = transform(sample, np.random.default_rng(view))
        assert result.image.shape == sample.image.shape
        np.testing.assert_array_equal(result.boxes, sample.boxes)
        np.testing.assert_array_equal(result.class_ids, sample.class_ids)
        grey = result.image.astype(float).mean(2)
        total += np.abs(np.fft.ifft2(np.fft.fft2(grey - grey.mean()) * spectrum.conj()).real)  # of a negative too
    row, column = np.unravel_index(int(total.argmax()), total.shape)
    assert max(min(row, HEIGHT - row), min(column, WIDTH - column)) <= 1


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_all_chance_comes_from_the_generator_whatever_was_done_before_and_in_a_copy_too(name: str, arguments: dict[str, Any]) -> None:
    transform, sample = built(name, arguments), texture()
    before = sample.image.copy()
    elsewhere: LibraryTransform = pickle.loads(pickle.dumps(transform))
    state, python_state = pickle.dumps(np.random.get_state()), random.getstate()
    first = transform(sample, np.random.default_rng(9))
    transform(markers(), np.random.default_rng(10))
    again, there = transform(sample, np.random.default_rng(9)), elsewhere(sample, np.random.default_rng(9))
    assert (pickle.dumps(np.random.get_state()), random.getstate()) == (state, python_state)
    for other in (again, there):
        assert np.array_equal(first.image, other.image)
        assert np.array_equal(first.boxes, other.boxes)
        assert np.array_equal(first.class_ids, other.class_ids)
    assert np.array_equal(sample.image, before)


@pytest.mark.parametrize(("name", "arguments"), MOVING)
def test_an_image_without_objects_stays_one(name: str, arguments: dict[str, Any]) -> None:
    empty = Sample(image=texture().image, boxes=np.zeros((0, 4)), class_ids=np.zeros(0))
    result = built(name, arguments)(empty, np.random.default_rng(0))
    assert (result.boxes.shape, result.class_ids.shape) == ((0, 4), (0,))
