"""A model as .nnp and .onnx: the predecessor's names, everything needed to use it inside, and the same detections again."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest
from nnabla.utils.load import load as nnabla_load
from nnabla.utils.nnp_graph import NnpLoader

from centernet.inference.preprocess import fit, normalized, stack
from centernet.weights.store import read_parameters

Command = Callable[..., Any]
OUTPUTS = {"hm": 5, "reg": 2, "wh": 2}


def load(path: Path, **settings: Any) -> Any:
    import centernet

    return centernet.load(path, precision="float32", **settings)


def model(tiny: Any, tiny_dlav0: Any, family: str) -> Any:
    return {"resnet": tiny, "dlav0": tiny_dlav0}[family]


def assert_same(found: Any, expected: Any) -> None:
    """The same detections within a thousandth of a pixel."""
    assert len(found) == len(expected)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    assert found.class_names == expected.class_names


@pytest.mark.parametrize("family", ["resnet", "dlav0"])
def test_every_runtime_and_every_file_gives_the_same_detections(
    tiny: Any, tiny_dlav0: Any, centernet: Command, tmp_path: Path, family: str
) -> None:
    trained = model(tiny, tiny_dlav0, family)
    image = trained.images[0]
    expected = load(trained.lively, runtime="nnabla").predict(image)
    assert len(np.unique(expected.scores)) == len(expected), "ties would have no order"
    files = {}
    for name, words in {
        "raw.nnp": (), "decoded.nnp": ("--decode",), "raw.onnx": ("--format", "onnx"), "decoded.onnx": ("--decode",),
    }.items():  # fmt: skip
        files[name] = tmp_path / name
        centernet("export", "--checkpoint", trained.lively, "-o", files[name], *words)
    for runtime in ("openvino", "onnxruntime"):
        for path in (trained.lively, files["raw.onnx"], files["decoded.onnx"]):
            assert_same(load(path, runtime=runtime).predict(image), expected)
    for path in (files["raw.nnp"], files["decoded.nnp"]):
        assert_same(load(path).predict(image), expected)
    batch = load(files["decoded.nnp"]).predict(trained.images[:2])
    assert_same(batch[0], expected)


@pytest.mark.parametrize("runtime", ["nnabla", "openvino"])
def test_the_demo_draws_the_same_boxes_with_either_runtime(tiny: Any, centernet: Command, tmp_path: Path, runtime: str) -> None:
    words = ("--demo", tiny.images[1], "-o", tmp_path, "--runtime", runtime, "--precision", "float32")
    centernet("demo", "--checkpoint", tiny.lively, *words)
    written = json.loads((tmp_path / "detections.jsonl").read_text())["detections"]
    expected = load(tiny.lively, runtime="nnabla").predict(tiny.images[1]).above(0.2)
    np.testing.assert_allclose([found["box"] for found in written], expected.boxes, atol=1e-3)


def test_an_nnp_has_the_predecessors_names_and_the_networks_numbers(tiny: Any, script: Command, tmp_path: Path) -> None:
    ended = script("save_nnp.py", "ctdet", "--checkpoint", tiny.lively, "--save_dir", "out")
    path = tmp_path / "out" / "resnet_18.nnp"
    assert f"wrote {path.relative_to(tmp_path)} (NCHW, 3 channels, input 64x64)" in ended.out

    loader = NnpLoader(str(path))
    assert loader.get_network_names() == ["runtime"]
    network = loader.get_network("runtime", batch_size=2)
    assert {name: variable.shape for name, variable in network.inputs.items()} == {"x": (2, 3, 64, 64)}
    assert {name: variable.shape for name, variable in network.outputs.items()} == {
        name: (2, channels, 16, 16) for name, channels in OUTPUTS.items()
    }

    detector = load(tiny.lively, runtime="nnabla", with_maps=True)
    from centernet.imaging.io import read_image

    pixels = stack([fit(read_image(image), detector.spec) for image in tiny.images[:2]])
    network.inputs["x"].d = normalized(pixels, detector.spec)
    outputs = detector.session.run(pixels)
    for scope, name in {"hm": "heatmap", "reg": "offset", "wh": "size"}.items():
        network.outputs[scope].forward(clear_buffer=False)
        np.testing.assert_allclose(network.outputs[scope].d, outputs[name], rtol=1e-5, atol=1e-5)


def test_an_nnp_is_read_by_nnablas_own_loader_with_all_its_parameters(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    centernet("export", "--checkpoint", tiny.lively, "-o", tmp_path / "a.nnp")
    with nn.parameter_scope("loaded"):
        nnabla_load(str(tmp_path / "a.nnp"))
    stored = read_parameters(tiny.lively).parameters
    loaded = {name.removeprefix("loaded/"): variable.d for name, variable in nn.get_parameters(grad_only=False).items()}
    assert loaded.keys() == stored.keys()
    for name, values in stored.items():
        np.testing.assert_array_equal(loaded[name], values)


def test_an_exported_file_says_what_belongs_around_it(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    centernet("export", "--checkpoint", tiny.lively, "-o", tmp_path / "a.nnp")
    centernet("export", "--checkpoint", tiny.lively, "-o", tmp_path / "a.onnx")
    with zipfile.ZipFile(tmp_path / "a.nnp") as archive:
        said = json.loads(archive.read("centernet.json"))
    from centernet.export.onnx import read_metadata

    assert json.loads(read_metadata(tmp_path / "a.onnx")["centernet"]) == said == read_parameters(tiny.lively).description
    assert said["class_names"] == ["disk", "ring", "square", "triangle", "cross"]
    assert said["mean"] == pytest.approx([0.40789654, 0.44719302, 0.47026115])
    assert said["std"] == pytest.approx([0.28863828, 0.27408164, 0.27809835])
    assert (said["stride"], said["input_size"], said["layout"], said["input_channels"]) == (4, [64, 64], "nchw", 3)


@pytest.mark.parametrize("family", ["resnet", "dlav0"])
@pytest.mark.parametrize("decode", [False, True])
def test_channels_last_with_four_channels_is_written_where_it_cannot_run(
    tiny: Any, tiny_dlav0: Any, centernet: Command, tmp_path: Path, family: str, decode: bool
) -> None:
    """NNabla's CPU cannot convolve channels-last, so the file is compared by its structure and its parameters."""
    trained = model(tiny, tiny_dlav0, family)
    path = tmp_path / "a.nnp"
    words = ("--channel_last", "--mixed_precision", *(["--decode"] if decode else []))
    ended = centernet("export", "--checkpoint", trained.lively, "-o", path, *words)
    assert "(NHWC, 4 channels, input 64x64)" in ended.out
    with zipfile.ZipFile(path) as archive:
        said = json.loads(archive.read("centernet.json"))
    assert (said["layout"], said["input_channels"]) == ("nhwc", 4)
    with nn.auto_forward(False), nn.parameter_scope("loaded"):
        network = NnpLoader(str(path)).get_network("runtime", batch_size=1)
    inputs = {name: variable.shape for name, variable in network.inputs.items()}
    assert inputs == ({"image": (1, 64, 64, 3)} if decode else {"x": (1, 64, 64, 4)})
    shapes = {name: variable.shape for name, variable in network.outputs.items()}
    if decode:
        assert shapes == {"boxes": (1, 100, 4), "scores": (1, 100), "class_ids": (1, 100)}
    else:
        assert shapes == {name: (1, 16, 16, channels) for name, channels in OUTPUTS.items()}

    converted = tmp_path / "nhwc.h5"
    centernet("convert", trained.lively, converted, "-m", "nhwc", "-4")
    found, expected = read_parameters(path).parameters, read_parameters(converted).parameters
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_without_a_checkpoint_the_weights_are_said_to_be_untrained(script: Command, tmp_path: Path) -> None:
    ended = script("save_nnp.py", "ctdet", "--dataset", "pascal", "--arch", "resnet", "--num_layers", "18", "--input_res", 64, "-o", "out")
    assert "untrained" in ended.out
    with zipfile.ZipFile(tmp_path / "out" / "resnet_18.nnp") as archive:
        said = json.loads(archive.read("centernet.json"))
    assert said["class_names"][:2] == ["aeroplane", "bicycle"]
    assert len(said["class_names"]) == 20
    assert said["mean"] == pytest.approx([0.485, 0.456, 0.406])


def test_onnx_is_run_by_other_runtimes_as_it_is(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    """ONNX Runtime and OpenVINO themselves, without this project around them."""
    import onnxruntime
    import openvino

    centernet("export", "--checkpoint", tiny.lively, "--format", "onnx", "--decode", "--K", 7, "-o", tmp_path)
    path = tmp_path / "resnet_18.onnx"
    detector = load(tiny.lively, runtime="nnabla", k=7)
    from centernet.imaging.io import read_image

    image = read_image(tiny.images[0])
    expected = detector.predict(image)
    batch = image[np.newaxis]  # a 64x64 image is the input itself
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = dict(zip((output.name for output in session.get_outputs()), session.run(None, {"image": batch}), strict=True))
    compiled = openvino.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for answer in (found, {name: compiled([batch])[name] for name in found}):
        np.testing.assert_allclose(answer["boxes"][0], expected.boxes, atol=1e-3)
        np.testing.assert_allclose(answer["scores"][0], expected.scores, atol=1e-5)
        np.testing.assert_array_equal(answer["class_ids"][0], expected.class_ids)


def test_an_exported_file_keeps_to_the_input_it_was_written_for(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    centernet("export", "--checkpoint", tiny.lively, "-o", tmp_path / "a.onnx")
    words = ("demo", "--checkpoint", tmp_path / "a.onnx", "--demo", tiny.images[0], "-o", tmp_path)
    assert "exported for input 64x64" in centernet(*words, "--input_res", 96, code=2).err
    assert "--keep_res" in centernet(*words, "--keep_res", code=2).err
    centernet(*words, "--input_res", 64)


@pytest.mark.parametrize("suffix", [".nnp", ".onnx"])
def test_an_exported_file_is_tested_and_drawn_like_parameters(
    tiny: Any, own_truth: tuple[str, ...], centernet: Command, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    centernet("export", "--checkpoint", tiny.lively, "-o", path)
    for checkpoint, name in ((tiny.lively, "h5"), (path, "exported")):
        centernet("test", "--checkpoint", checkpoint, *own_truth, "-o", tmp_path / name)
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("h5", "exported"))
    assert two["AP"] == pytest.approx(one["AP"], abs=1e-6)
    centernet("demo", "--checkpoint", path, "--demo", tiny.images[0], "-o", tmp_path / "demo", "--debug", 2)
    assert (tmp_path / "demo" / "000001_heatmap_cross.jpg").is_file()


def test_a_file_that_decodes_inside_has_no_heatmaps_to_draw(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    centernet("export", "--checkpoint", tiny.lively, "--decode", "-o", tmp_path / "a.onnx")
    ended = centernet("demo", "--checkpoint", tmp_path / "a.onnx", "--demo", tiny.images[0], "-o", tmp_path / "demo", "--debug", 2, code=2)
    assert "exported with --decode" in ended.err
    assert "--debug 1" in ended.err
