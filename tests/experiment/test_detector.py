"""Options of testing in a whole detector: mirror images, scales, suppression, batches of images of any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from centernet import config as configuration
from centernet.errors import ConfigError
from centernet.experiment import report
from centernet.experiment.assembly import Assembly
from centernet.experiment.detector import Detector, Options, detector, options_of, suppression
from centernet.experiment.export import Format, export
from centernet.experiment.inference_graph import Machine, Runtime
from centernet.experiment.model_files import load
from centernet.experiment.schema import TestConfig
from centernet.geometry.nms import SoftNms
from centernet.inference.preprocess import fit, to_image
from centernet.structures import Array, Detections

RUNTIMES = [runtime for runtime in get_args(Runtime) if runtime != "auto"]
SIZES = ((64, 64), (48, 100), (64, 64))


@pytest.fixture(scope="module")
def assembly(assembled: Callable[..., Assembly]) -> Assembly:
    """A tiny network for 64x64, with parameters by which its detections differ from each other."""
    return assembled({"name": "resnet", "num_layers": 18, "width": 0.125}, {"name": "deconv", "width": 0.125}, side=64)


def images() -> list[Array]:
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 256, (-(-h // 8), -(-w // 8), 3)), np.ones((8, 8, 1)))[:h, :w].astype(np.uint8) for h, w in SIZES]


def machine(runtime: Runtime = "openvino") -> Machine:
    return Machine(runtime=runtime, precision="float32", extension="cpu", threads=1)


def make(assembly: Assembly, *, runtime: Runtime = "openvino", **options: Any) -> Detector:
    return detector(assembly, machine(runtime), Options(**{"k": 20, **options}))


def assert_same(found: Detections, expected: Detections) -> None:
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)


def flipped_by_hand(assembly: Assembly, image: Array) -> Detections:
    """The network run on an image and on its mirror image, the maps merged and decoded as arrays."""
    plain = make(assembly, with_maps=True)
    fitted = fit(image, plain.spec)
    heads = assembly.task.heads
    views = [plain.session.run(np.ascontiguousarray(view[None])) for view in (fitted.warped, fitted.warped[:, ::-1])]
    both = {name: np.concatenate([view[name] for view in views]) for name in heads}
    (found,) = assembly.task.decode(both, k=20, grid=assembly.grid, flipped=True)
    return to_image(found, fitted)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_flip_test_inside_the_graph_equals_two_runs_merged_by_hand(assembly: Assembly, runtime: Runtime) -> None:
    given = images()[:2]
    found = make(assembly, runtime=runtime, flip_test=True).predict_batch(given)
    for one, image in zip(found, given, strict=True):
        assert_same(one, flipped_by_hand(assembly, image))
    assert not np.allclose(found[0].scores, make(assembly).predict(given[0]).scores, atol=1e-3), "the mirror image changes nothing"


@pytest.mark.parametrize("format", get_args(Format))
def test_a_file_of_raw_heads_is_given_the_mirror_images(assembly: Assembly, tmp_path: Path, format: Format) -> None:
    if format not in ("nnp", "onnx"):
        pytest.skip("written from the same graph as ONNX")
    path = export(assembly, tmp_path / f"heads.{format}", format=format)
    given = images()[:2]
    where = machine("nnabla" if format == "nnp" else "openvino")
    found = load(path, machine=where, options=Options(k=20, flip_test=True)).predict_batch(given)
    for one, image in zip(found, given, strict=True):
        assert_same(one, flipped_by_hand(assembly, image))


def test_a_file_that_decodes_inside_refuses_a_flip_test(assembly: Assembly, tmp_path: Path) -> None:
    path = export(assembly, tmp_path / "decoded.onnx", format="onnx", decode=True)
    with pytest.raises(ConfigError, match=r"decoded\.onnx: was exported with --decode.*--flip_test.*parameters"):
        load(path, machine=machine(), flip_test=True)
    assert len(load(path, machine=machine(), nms=True).predict(images()[0])) > 0


def test_the_maps_of_a_flip_test_are_those_of_both_views(assembly: Assembly) -> None:
    image = images()[1]
    both = make(assembly, flip_test=True, with_maps=True)
    maps = both.maps(both.inspect(image))
    mirrored = np.ascontiguousarray(fit(image, both.spec).warped[:, ::-1])
    plain = make(assembly, with_maps=True)
    views = [plain.maps(plain.inspect(view)) for view in (fit(image, both.spec).warped, mirrored)]
    np.testing.assert_allclose(maps["heatmap"], (views[0]["heatmap"] + views[1]["heatmap"][:, :, ::-1]) / 2, atol=1e-4)
    np.testing.assert_allclose(maps["size"], (views[0]["size"] + views[1]["size"][:, :, ::-1]) / 2, atol=1e-3)
    np.testing.assert_allclose(maps["offset"], views[0]["offset"], atol=1e-3)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "options",
    [{}, {"keep_resolution": True}, {"scales": (0.5, 1.0, 1.25)}, {"flip_test": True, "keep_resolution": True, "scales": (0.5, 0.9)}],
    ids=["fixed", "keep_res", "scales", "all"],
)
def test_a_batch_of_images_of_any_size_equals_one_by_one(assembly: Assembly, runtime: Runtime, options: dict[str, Any]) -> None:
    one_by_one = make(assembly, runtime=runtime, **options)
    batched = make(assembly, runtime=runtime, batch_size=3, **options)
    given = images()
    for found, image in zip(batched.predict(given), given, strict=True):
        assert_same(found, one_by_one.predict(image))


def test_detections_are_suppressed_with_several_scales_or_where_asked_for() -> None:
    assert suppression(Options()) is None
    assert suppression(Options(nms=True)) == suppression(Options(scales=(0.5, 1.0))) == SoftNms()
    assert suppression(Options(scales=(0.5, 1.0), soft_nms=None)) is None
    with pytest.raises(ConfigError, match="how to suppress"):
        suppression(Options(nms=True, soft_nms=None))


def test_suppression_happens_in_the_whole_detector(assembly: Assembly) -> None:
    image = images()[0]
    plain, suppressed = make(assembly).predict(image), make(assembly, nms=True).predict(image)
    expected = assembly.task.merge_scales([plain], limit=128, soft_nms=SoftNms())
    np.testing.assert_allclose(suppressed.scores, expected.scores, atol=1e-6)
    assert suppressed.scores.sum() < plain.scores.sum()
    reference = make(assembly, nms=True, soft_nms_reference=True).predict(image)
    assert len(reference) == len(plain), "the official code loses no row"
    scales = make(assembly, scales=(0.5, 1.0), soft_nms=None).predict(image)
    assert len(scales) == 2 * len(plain)


def test_all_of_the_section_test_reaches_the_detector() -> None:
    section = TestConfig(flip_test=True, nms=True, soft_nms=SoftNms(method="linear"), soft_nms_reference=True, scales=(1.0, 2.0))
    options = options_of(section)
    assert all(getattr(options, name) == getattr(section, name) for name in TestConfig.__dataclass_fields__)


def test_a_section_test_that_suppresses_without_saying_how_is_refused() -> None:
    for wish in ({"nms": True}, {"soft_nms_reference": True}):
        with pytest.raises(ConfigError, match=r"soft_nms must not be null"):
            configuration.validate(TestConfig, {"soft_nms": None, **wish}, source="x.yaml")


def test_the_protocol_says_all_that_numbers_depend_on(assembly: Assembly) -> None:
    plain = report.protocol_text(make(assembly), metric="coco", num_images=6)
    assert plain.pop("runtime").startswith("OpenVINO ")
    assert plain == {
        "metric": "coco",
        "images": 6,
        "input_size": "64x64",
        "scales": [1.0],
        "flip": False,
        "nms": "none",
        "k": 20,
        "max_detections": 128,
        "precision": "float32",
    }
    all_on = make(assembly, runtime="nnabla", flip_test=True, keep_resolution=True, scales=(0.5, 1.0), soft_nms_reference=True)
    line = report.protocol_line(report.protocol_text(all_on, metric="coco", num_images=6))
    for words in (
        "metric coco, images 6, ",
        "padded to a multiple of 32, scales 0.5+1, flip yes, ",
        "nms soft-NMS (gaussian, sigma 0.5, scores from 0.001), as the official code, k 20, max detections 128, ",
        "NNabla ",
        "float32",
    ):
        assert words in line


@pytest.mark.parametrize(
    ("backbone", "neck", "sizes"),
    [
        ({"name": "hourglass", "num_layers": 52}, {"name": "identity"}, [(128, 128), (256, 128)]),
        ({"name": "dla"}, {"name": "dla_up"}, [(96, 64), (160, 128)]),
    ],
)
def test_keeping_the_resolution_at_several_scales_pads_to_what_the_network_takes(
    assembled: Callable[..., Assembly], backbone: dict[str, Any], neck: dict[str, Any], sizes: list[tuple[int, int]]
) -> None:
    made = assembled({**backbone, "width": 0.125}, neck, side=128)
    sees = make(made, runtime="nnabla", keep_resolution=True, scales=(0.8, 1.5))
    image = np.zeros((100, 64, 3), np.uint8)
    assert [fit(image, sees.spec, scale=scale).size for scale in sees.scales] == sizes
    assert isinstance(sees.predict(image), Detections)
    protocol = report.protocol_text(sees, metric="coco", num_images=1)
    assert protocol["input_size"].endswith(f"padded to a multiple of {made.network.input_multiple}")


def test_an_input_size_that_the_network_does_not_take_is_refused_with_the_nearest(assembled: Callable[..., Assembly]) -> None:
    made = assembled({"name": "hourglass", "num_layers": 52, "width": 0.125}, {"name": "identity"}, side=127)
    assert made.description.input_size == (127, 127)
    with pytest.raises(ConfigError, match=r"input size 500x128 .*: expected multiples of 128, or one less; .* is 511x128"):
        make(made, runtime="nnabla", input_size=(500, 128)).predict(np.zeros((100, 64, 3), np.uint8))
