"""Networks with deformable convolutions, exported in both forms, find the same boxes in every runtime.

Their offsets are random: with those that training starts from, zero, every form would do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from centernet.data.rendering import draw_scene
from centernet.errors import DeviceError
from centernet.experiment import published
from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.choice import Choice
from centernet.imaging.io import write_image
from centernet.inference.session import NnablaSession
from centernet.weights.store import write_parameters

Command = Callable[..., Any]
SIZE = (64, 96)


def load(path: Path, **settings: Any) -> Any:
    import centernet

    return centernet.load(path, precision="float32", **settings)


def lively(arch: str, depth: int) -> Assembly:
    """A narrow network with random parameters: offsets of about a cell, boxes of a real size, scores apart."""
    described = published.describe(
        Choice(task="ctdet", words={"dataset": "pascal", "arch": arch, "num_layers": depth, "head_conv": 16}, input_size=SIZE)
    )
    model = described.experiment["model"]
    for part in ("backbone", "neck"):
        if part == "backbone" or arch == "resdcn":
            model[part]["width"] = 0.125
    made = from_description(described, source="the test")
    rng = np.random.default_rng(5)
    for name, variable in made.network.parameters().items():
        values = rng.normal(size=variable.shape)
        if name.endswith("/W"):
            factor = 0.2 if "conv_offset_mask" in name else 1.0
            variable.d = factor * values * np.sqrt(2 / np.prod(variable.shape[1:]))
        elif name.endswith(("/gamma", "/var")):
            variable.d = 1 + 0.1 * abs(values)
        else:
            variable.d = 0.05 * values + {"wh_final": 5.0, "hm_final": -2.0}.get(name.split("/")[0], 0.0)
    image = np.random.default_rng(1).normal(size=(1, 3, *SIZE)).astype(np.float32)
    raw = NnablaSession(lambda x: made.network(x)[-1]).run(image)
    for head, spread in {"heatmap": 1.0, "offset": 0.3, "size": 1.0}.items():
        weight = made.network.parameters()[f"{made.task.heads[head].scope}_final/conv/W"]
        weight.d = weight.d * (spread / raw[head].std(axis=(2, 3)).mean())
    return made


@pytest.fixture(scope="module", params=[("resdcn", 18), ("dla", 34)], ids=["resdcn_18", "dla_34"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assembly = lively(*request.param)
    path = tmp_path_factory.mktemp("deformable") / "lively.h5"
    parameters = {name: np.array(variable.d) for name, variable in assembly.network.parameters().items()}
    assert any("conv_offset_mask" in name and np.abs(values).max() > 0.01 for name, values in parameters.items())
    write_parameters(path, parameters, description=json.loads(assembly.description.to_json()))
    return path


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "scene.png"
    write_image(path, draw_scene(np.random.default_rng(1), size=96, num_objects=5)[0][:64])
    return path


@pytest.mark.slow
def test_both_forms_find_the_same_boxes_in_every_runtime(checkpoint: Path, picture: Path, centernet: Command, tmp_path: Path) -> None:
    expected = load(checkpoint, runtime="nnabla").predict(picture)
    assert len(expected) > 20
    assert np.ptp(expected.scores) > 0.05
    given = ("export", checkpoint, "--decode", "--images", picture)
    centernet(*given, "-o", tmp_path / "own.nnp")
    files = [(tmp_path / "own.nnp", "nnabla")]
    for form in ("gridsample", "operator"):
        for suffix in (".onnx", ".xml"):
            path = tmp_path / f"{form}{suffix}"
            ended = centernet(*given, "-o", path, "--deform", form)
            files += [(path, "openvino")] + ([(path, "onnxruntime")] if path.name == "gridsample.onnx" else [])
            assert ("ONNX Runtime" in ended.out) == (suffix == ".onnx")
    for path, runtime in files:
        found = load(path, runtime=runtime).predict(picture)
        np.testing.assert_array_equal(found.class_ids, expected.class_ids, f"{path.name} in {runtime}")
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01, err_msg=f"{path.name} in {runtime}")
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4, err_msg=f"{path.name} in {runtime}")

    used = {name: {node.op_type for node in onnx.load(tmp_path / f"{name}.onnx").graph.node} for name in ("gridsample", "operator")}
    assert {"GridSample", "DeformConv"} & used["gridsample"] == {"GridSample"}
    assert {"GridSample", "DeformConv"} & used["operator"] == {"DeformConv"}
    texts = {name: (tmp_path / f"{name}.xml").read_text() for name in ("gridsample", "operator")}
    assert ['type="DeformableConvolution"' in texts[name] for name in ("gridsample", "operator")] == [False, True]

    with pytest.raises(DeviceError, match=r"operator.onnx: ONNX Runtime .* cannot run it: .*DeformConv.*; use --runtime openvino"):
        load(tmp_path / "operator.onnx", runtime="onnxruntime")
    rows = json.loads((tmp_path / "operator.onnx.parity.json").read_text())["differences"]
    assert [row["not_run"] is None for row in rows] == [True, False], "the report says which runtime lacks the operator"


def test_a_form_that_cannot_be_is_refused(checkpoint: Path, picture: Path, centernet: Command, tmp_path: Path) -> None:
    given = ("export", checkpoint, "--images", picture, "-o")
    ended = centernet(*given, tmp_path / "a.nnp", "--deform", "operator", code=2)
    assert "--deform operator: an .nnp holds NNabla's own deformable convolution; use --format onnx or openvino" in ended.err
    assert "gridsample" in centernet(*given, tmp_path / "a.onnx", "--deform", "dcn", code=2).err
    pytest.importorskip("nncf")
    words = ("--deform", "operator", "--precision", "int8", "--calibration", picture)
    ended = centernet(*given, tmp_path / "a.onnx", *words, code=2)
    assert "ONNX Runtime, which calibrates an .onnx, has no DeformConv; use --deform gridsample, or --format openvino" in ended.err
    assert not list(tmp_path.iterdir())
