"""The YAML's list of library transforms: its shape, its mistakes, and what becomes of images and boxes."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any

import numpy as np
import pytest
from pydantic.dataclasses import dataclass

from centernet import config as configuration
from centernet.data.transform_library import load_library
from centernet.data.transforms import LibraryTransform, TransformConfig, build
from centernet.errors import STRICT, ConfigError, DataError
from centernet.structures import Array, Sample

BLUR = {"name": "GaussianBlur", "p": 0.3, "blur_limit": [3, 7]}
CHOICE = {"name": "OneOf", "p": 1, "transforms": [{"name": "HorizontalFlip"}, {"name": "VerticalFlip"}]}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Section:
    """A part of a configuration with such a list."""

    transforms: tuple[TransformConfig, ...] = ()


def listed(*entries: Mapping[str, Any]) -> tuple[TransformConfig, ...]:
    return configuration.validate(Section, {"transforms": list(entries)}, source="x.yaml").transforms


def made(*entries: Mapping[str, Any]) -> LibraryTransform:
    return build(listed(*entries), path="transforms")


def sample(boxes: Any = ((10, 20, 30, 60),), *, height: int = 80, width: int = 100) -> Sample:
    image = np.random.default_rng(0).integers(0, 200, (height, width, 3), dtype=np.uint8)
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Sample(image=image, boxes=corners, class_ids=np.arange(len(corners)) + 7, name="a.jpg")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def mistake(*entries: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        made(*entries)
    return str(caught.value)


def test_the_list_is_read_and_written_as_in_the_yaml() -> None:
    tree = {"transforms": [BLUR, CHOICE]}
    section = configuration.validate(Section, tree, source="x.yaml")
    assert section.transforms[0] == TransformConfig(name="GaussianBlur", arguments={"p": 0.3, "blur_limit": [3, 7]})
    assert section.transforms[1].transforms == (TransformConfig(name="HorizontalFlip"), TransformConfig(name="VerticalFlip"))
    assert configuration.to_tree(section) == tree


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("HorizontalFlip", "transforms.0: expected a section with keys, found 'HorizontalFlip'"),
        ({"p": 1}, "transforms.0.name: is missing"),
        ({"name": 3}, "transforms.0.name: found 3 (int), expected a valid string"),
        ({"name": "OneOf", "transforms": [BLUR, {"p": 1}]}, "transforms.0.transforms.1.name: is missing"),
    ],
)
def test_an_entry_of_another_shape_is_named_with_its_path(entry: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration.validate(Section, {"transforms": [entry]}, source="x.yaml")
    assert str(caught.value) == f"x.yaml: {text}"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"name": "HorizontalFilp"}, "transforms.0.name: albumentations has no 'HorizontalFilp'; did you mean 'HorizontalFlip'?"),
        (
            {"name": "GaussianBlur", "blur_limits": 3},
            "transforms.0.blur_limits: GaussianBlur has no such argument; did you mean 'blur_limit'?",
        ),
        ({"name": "HorizontalFlip", "strict": True}, "transforms.0.strict: HorizontalFlip has no such argument; known: p"),
        ({"name": "OneOf", "n": 1, **CHOICE}, "transforms.0.n: OneOf has no such argument; known: p"),
        ({"name": "RandomCrop", "height": 9}, "transforms.0.width: is missing"),
        ({"name": "RandomCrop", "height": 9, "width": -1}, "transforms.0.width: found -1, expected greater than or equal to 1"),
        ({"name": "GaussianBlur", "p": 1.5}, "transforms.0.p: found 1.5, expected a number from 0 to 1"),
        ({**CHOICE, "p": "often"}, "transforms.0.p: found 'often', expected a number from 0 to 1"),
        ({"name": "CropAndPad"}, "transforms.0: Both px and percent parameters cannot be None simultaneously."),
        ({"name": "OneOf"}, "transforms.0.transforms: OneOf chooses from a list of transforms, found none"),
        ({"name": "Blur", "transforms": []}, "transforms.0.transforms: Blur takes no transforms; groups are OneOf, "),
        ({"name": "MaskDropout"}, "transforms.0: MaskDropout needs mask; a sample has an image and boxes only"),
        ({"name": "Normalize"}, "transforms.0: Normalize: makes images of float32 "),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(entry: Mapping[str, Any], text: str) -> None:
    assert mistake(entry).startswith(text)


def test_the_path_of_a_mistake_leads_into_groups() -> None:
    inner = {"name": "SomeOf", "n": 1, "transforms": [{"name": "MedianBlur", "blur_limit": "strong"}]}
    text = mistake(BLUR, {"name": "Sequential", "transforms": [{"name": "NoOp"}, inner]})
    assert text.startswith("transforms.1.transforms.1.transforms.0.blur_limit: found 'strong', expected ")


def test_every_mistake_in_the_arguments_is_named() -> None:
    lines = mistake({"name": "RandomCrop", "height": "tall", "width": 0}).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["transforms.0.height", "transforms.0.width"]


def test_an_argument_that_may_be_of_several_types_is_one_mistake() -> None:
    text = mistake({"name": "Rotate", "limit": "far"})
    assert text == "transforms.0.limit: found 'far', expected a valid tuple, or a valid number, unable to parse string as a number"


def test_arguments_that_fit_but_do_not_work_are_shown() -> None:
    assert mistake({"name": "RandomCrop", "height": 9000, "width": 8, "p": 0.5}).startswith(
        "transforms.0: RandomCrop with height: 9000, width: 8: Crop size "
    )


def test_a_value_that_the_library_would_replace_by_its_default_is_an_error() -> None:
    assert mistake({"name": "RandomScale", "scale_limit": {"a": 1}}).startswith("transforms.0.scale_limit: ")


def test_advice_of_the_library_goes_to_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    made({"name": "ShiftScaleRotate"})(sample(), rng())
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == ["transforms.0"]


def test_boxes_follow_a_mirrored_image_and_keep_their_classes() -> None:
    original = sample([(10, 20, 30, 60), (40, 0, 100, 80)])
    result = made({"name": "HorizontalFlip", "p": 1})(original, rng())
    np.testing.assert_array_equal(result.image, original.image[:, ::-1])
    np.testing.assert_allclose(result.boxes, [[70, 20, 90, 60], [0, 0, 60, 80]], atol=1e-4)
    assert (result.class_ids.tolist(), result.name) == ([7, 8], "a.jpg")


def test_the_library_sees_red_green_blue() -> None:
    original = sample()
    shift = {"r_shift_limit": [50, 50], "g_shift_limit": [0, 0], "b_shift_limit": [0, 0]}
    result = made({"name": "RGBShift", "p": 1, **shift})(original, rng())
    np.testing.assert_array_equal(result.image, original.image + np.array([0, 0, 50], np.uint8))


def test_boxes_are_clipped_to_the_image_where_a_transform_moves_them() -> None:
    original = sample([(-20, 10, 30, 90)])
    flipped = made({"name": "HorizontalFlip", "p": 1})(original, rng())
    np.testing.assert_allclose(flipped.boxes, [[70, 10, 100, 80]], atol=1e-4)


def test_boxes_stay_as_annotated_where_no_transform_moves_any() -> None:
    original = sample([(-20, 10, 30, 90), (5, 5, 5, 9)])
    result = made(BLUR, {"name": "SomeOf", "n": 1, "transforms": [{"name": "InvertImg"}]})(original, rng())
    np.testing.assert_array_equal(result.boxes, original.boxes)


def test_a_box_of_which_less_than_a_pixel_is_left_is_dropped() -> None:
    crop = {"name": "Crop", "p": 1, "x_min": 50, "y_min": 0, "x_max": 90, "y_max": 80}
    boxes = [(0, 0, 50, 80), (10, 0, 50.5, 80), (10, 0, 52, 80), (20, 20, 20, 30), (200, 0, 300, 9)]
    result = made(crop)(sample(boxes), rng())
    np.testing.assert_allclose(result.boxes, [[0, 0, 2, 80]], atol=1e-4)
    assert (result.class_ids.tolist(), result.image.shape) == ([9], (80, 40, 3))


def test_an_image_that_loses_every_box_stays() -> None:
    crop = {"name": "Crop", "p": 1, "x_min": 50, "y_min": 0, "x_max": 90, "y_max": 80}
    result = made(crop)(sample(), rng())
    assert (result.boxes.shape, result.class_ids.shape, result.image.shape) == ((0, 4), (0,), (80, 40, 3))


def test_a_group_chooses_anew_for_each_sample() -> None:
    original, transform = sample(), made({**CHOICE, "transforms": [{"name": "HorizontalFlip"}, {"name": "NoOp"}]})
    flipped = [bool((transform(original, rng(seed)).image != original.image).any()) for seed in range(100)]
    assert 30 < sum(flipped) < 70


def test_class_numbers_reach_the_transform_that_asks_for_them() -> None:
    def holes(labels: list[int]) -> Array:
        entry = {
            "name": "ConstrainedCoarseDropout",
            "p": 1,
            "bbox_labels": labels,
            "hole_height_range": [0.5, 0.5],
            "hole_width_range": [0.5, 0.5],
        }
        result = made({**entry, "fill": 255})(original, rng())
        return np.argwhere((result.image == 255).all(2)).mean(0)

    original = sample([(0, 0, 40, 80), (60, 0, 100, 80)])
    assert holes([7])[1] < 45
    assert holes([8])[1] > 55


def test_a_crop_that_fits_some_images_only_names_the_one_it_does_not_fit() -> None:
    transform = made({"name": "CenterCrop", "p": 1, "height": 300, "width": 300})
    assert transform(sample(height=400, width=400), rng()).image.shape == (300, 300, 3)
    with pytest.raises(DataError, match=r"^a\.jpg: transforms: Crop size .*\(image 80x100\)$"):
        transform(sample(), rng())


def test_threads_do_not_disturb_each_other() -> None:
    transform = made({"name": "Affine", "p": 1, "rotate": [-40, 40]}, {"name": "GaussNoise", "p": 1}, CHOICE)
    original = sample(height=120, width=160)
    alone = [transform(original, rng(seed)).image for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: transform(original, rng(seed)).image, range(40)))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_another_process_makes_the_same_without_asking_any_server_for_updates() -> None:
    transform, original = made({"name": "ElasticTransform", "p": 1}, {"name": "GaussNoise", "p": 1}), sample()
    program = """
        import pickle, sys, urllib.request
        import numpy as np

        def build_opener(*arguments):
            raise SystemExit("asked a server")

        urllib.request.build_opener = build_opener
        transform, sample = pickle.load(sys.stdin.buffer)
        assert "albumentations" not in sys.modules
        sys.stdout.buffer.write(pickle.dumps(transform(sample, np.random.default_rng(3))))
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, input=pickle.dumps((transform, original)), env=environment, stdout=subprocess.PIPE, check=True)
    there, here = pickle.loads(done.stdout), transform(original, rng(3))
    assert np.array_equal(there.image, here.image)
    assert np.array_equal(there.boxes, here.boxes)


def test_a_missing_library_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    expected = r"^transforms: needs albumentations, which is not installed; .*EXTRAS=augment.*pip install 'albumentations>=2\.0\.8,<2\.1'"
    with pytest.raises(ConfigError, match=expected):
        made(BLUR)


def test_a_library_that_is_there_but_broken_is_said_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> None:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr("centernet.data.transform_library.import_module", import_module)
    with pytest.raises(ConfigError, match=r"albumentations, which cannot be imported \(libGL\.so\.1: cannot open shared object file\); "):
        load_library()


@pytest.mark.parametrize("found", ["1.4.24", "2.0.7", "2.1.0"])
def test_another_version_of_the_library_is_an_error(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: found)
    with pytest.raises(ConfigError, match=rf"found albumentations {found}, expected 2\.0\.8"):
        load_library()


def test_the_library_is_not_imported_before_a_list_asks_for_it() -> None:
    program = "import sys, centernet.data.transforms; sys.exit('albumentations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], env={"PATH": "", "PYTHONPATH": ":".join(sys.path)}).returncode == 0
