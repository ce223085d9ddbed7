"""Keypoint triplets in a whole detector: every runtime, mirror images, scales, sizes that lack a pixel, exported files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from centernet.errors import ConfigError
from centernet.experiment import report
from centernet.experiment.assembly import Assembly
from centernet.experiment.detector import Detector, Options, detector
from centernet.experiment.export import ExportOptions, Format, export
from centernet.experiment.inference_graph import Machine, Runtime
from centernet.experiment.model_files import RUNTIMES, load, protocol_of
from centernet.experiment.parity import Evidence, check
from centernet.geometry.nms import SoftNms
from centernet.inference.preprocess import fit, to_image
from centernet.structures import Array, Detections

SUFFIXES = {"nnp": ".nnp", "onnx": ".onnx", "openvino": ".xml"}


@pytest.fixture(scope="module")
def assembly(assembled: Callable[..., Assembly]) -> Assembly:
    """A small hourglass for 127x127, with parameters by which corners of equal embeddings are found all over."""
    return assembled(
        {"name": "hourglass", "num_layers": 52, "width": 0.125},
        {"name": "identity"},
        side=127,
        task="triplet",
        head={"name": "triplet", "width": 0.125},
        last={"tags": 6e-5, "": 2e-3},
    )


@pytest.fixture
def image() -> Array:
    return np.kron(np.random.default_rng(0).integers(0, 256, (16, 16, 3)), np.ones((8, 8, 1)))[:100, :90].astype(np.uint8)


def machine(runtime: Runtime = "onnxruntime") -> Machine:
    return Machine(runtime=runtime, precision="float32", extension="cpu", threads=1)


def make(assembly: Assembly, runtime: Runtime = "onnxruntime", **options: Any) -> Detector:
    return detector(assembly, machine(runtime), Options(**{"k": 60, **options}))


def assert_same(found: Detections, expected: Detections) -> None:
    assert len(found) == len(expected) > 5
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)


@pytest.mark.parametrize("runtime", [runtime for runtime in get_args(Runtime) if runtime != "auto"])
def test_every_runtime_finds_in_both_views_what_the_arrays_hold(assembly: Assembly, image: Array, runtime: Runtime) -> None:
    task, both = assembly.task, make(assembly, runtime, flip_test=True, with_maps=True)
    inspection = both.inspect(image)
    raw = both.raw_maps(inspection)
    assert {name: maps.shape for name, maps in raw.items()} == {n: (2, head.channels, 32, 32) for n, head in task.heads.items()}
    (pairs,) = task.decode(raw, k=60, grid=assembly.grid, flipped=True)
    assert_same(both.decoded(inspection), pairs)
    assert_same(inspection.detections, to_image(task.merge_scales([pairs], limit=60), inspection.fitted))
    assert {name: maps.shape[0] for name, maps in both.maps(inspection).items()} == {n: head.channels for n, head in task.heads.items()}


def test_the_second_view_is_the_mirror_image(assembly: Assembly, image: Array) -> None:
    both, plain = make(assembly, flip_test=True, with_maps=True), make(assembly, with_maps=True)
    raw = both.raw_maps(both.inspect(image))
    mirrored = plain.session.run(np.ascontiguousarray(fit(image, plain.spec).warped[None, :, ::-1]))
    for name, maps in raw.items():
        np.testing.assert_allclose(maps[1], mirrored[name][0], atol=1e-3)


def test_what_overlaps_is_always_suppressed_and_the_protocol_says_so(assembly: Assembly, image: Array) -> None:
    plain = make(assembly, with_maps=True)
    inspection = plain.inspect(image)
    found, pairs = plain.in_input(inspection), plain.decoded(inspection)
    assert found.scores.sum() < pairs.scores.sum()
    assert len(plain.predict(image)) == len(found) <= 60
    assert report.protocol_text(plain, metric="coco", num_images=1)["nms"] == str(SoftNms())
    other = make(assembly, nms=True, soft_nms=SoftNms(method="hard"))
    assert len(other.predict(image)) < len(found)


def test_images_of_their_own_size_are_padded_to_a_pixel_less_than_a_multiple(assembly: Assembly, image: Array) -> None:
    sees = make(assembly, keep_resolution=True, scales=(1.0, 1.5))
    assert [fit(image, sees.spec, scale=scale).size for scale in sees.scales] == [(127, 127), (255, 255)]
    protocol = report.protocol_text(sees, metric="coco", num_images=1)
    assert protocol["input_size"] == "image's own, padded to a multiple of 128 less 1"
    assert_same(sees.predict(image), make(assembly, "nnabla", keep_resolution=True, scales=(1.0, 1.5)).predict(image))


@pytest.mark.slow
def test_a_file_of_raw_heads_is_given_the_mirror_image_and_one_that_decodes_is_not(
    assembly: Assembly, image: Array, tmp_path: Path
) -> None:
    raw = export(assembly, tmp_path / "raw.onnx", format="onnx")
    found = load(raw, machine=machine(), options=Options(k=60, flip_test=True)).predict(image)
    assert_same(found, make(assembly, flip_test=True).predict(image))
    decoded = export(assembly, tmp_path / "decoded.onnx", format="onnx", decode=True)
    assert_same(load(decoded, machine=machine(), options=Options(k=60)).predict(image), make(assembly).predict(image))
    assert protocol_of(decoded)["nms"] == f"3x3 maxima in the file; then, by who reads it, {SoftNms()} among those of a class"
    with pytest.raises(ConfigError, match=r"decoded\.onnx: was exported with --decode"):
        load(decoded, machine=machine(), flip_test=True)


@pytest.mark.slow
@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("format", get_args(Format))
def test_an_exported_file_says_what_the_network_says(
    assembly: Assembly, image: Array, tmp_path: Path, format: Format, decode: bool
) -> None:
    options = ExportOptions(format=format, decode=decode)
    path = export(assembly, tmp_path / f"file{SUFFIXES[format]}", format=format, decode=decode)
    parity = check(assembly, path, options, Evidence(names=("noise",), images=(image,)))
    assert parity.faults == []
    assert len(parity.differences) == len(RUNTIMES[path.suffix])
    assert all(row.compared > 20 and row.not_run is None for row in parity.differences)
