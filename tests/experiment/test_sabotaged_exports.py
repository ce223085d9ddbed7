"""A writer that writes something else than the network is found out, whatever K, format and heads, and whatever the pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.errors import ExportError
from centernet.experiment import export, published
from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.choice import Choice
from centernet.experiment.delivery import Material, deliver
from centernet.experiment.export import ExportOptions, Format
from centernet.imaging.io import write_image

SIZE = (64, 64)
FORMATS: dict[str, Format] = {".nnp": "nnp", ".onnx": "onnx", ".xml": "openvino"}
Outputs = dict[str, nn.Variable]


def network(form: str, *, spread: float) -> Assembly:
    """A narrow ResNet-18 with random parameters whose heatmap has so much to it: 0 is a flat one."""
    described = published.describe(Choice(task="ctdet", words={"dataset": "pascal", "arch": "resnet", "num_layers": 18}, input_size=SIZE))
    for part in ("backbone", "neck"):
        described.experiment["model"][part]["width"] = 0.0625
    described.experiment["task"]["boxes"] = {"form": form}
    made = from_description(described, source="the test")
    rng = np.random.default_rng(3)
    for name, variable in made.network.parameters().items():
        if name.endswith("/W"):
            last = {"hm_final": 0.2 * spread, "wh_final": 0.2, "ltrb_final": 0.2, "reg_final": 0.2}.get(name.split("/")[0], 1.0)
            variable.d = rng.normal(size=variable.shape) * last * np.sqrt(2 / np.prod(variable.shape[1:]))
        elif name.startswith(("wh_final", "ltrb_final")):
            variable.d = 3.0
    return made


@pytest.fixture(scope="module", params=["size", "ltrb"])
def lively(request: pytest.FixtureRequest) -> Assembly:
    return network(request.param, spread=1.0)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """One is enough, and quick."""
    path = tmp_path / "picture.png"
    write_image(path, np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8))
    return path


def writes(monkeypatch: pytest.MonkeyPatch, change: Callable[[Outputs], Mapping[str, nn.Variable]]) -> None:
    """From now on decoding is written with a change."""
    whole = export.outputs_of
    monkeypatch.setattr(export, "outputs_of", lambda *given, **settings: change(dict(whole(*given, **settings))))


def report_of(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.with_name(f"{path.name}.parity.json").read_text())
    return report


@pytest.mark.parametrize("k", [1, 5, 100])
@pytest.mark.parametrize("suffix", [".onnx", ".xml", pytest.param(".nnp", marks=pytest.mark.slow)])
def test_boxes_that_are_written_too_large_are_found(
    lively: Assembly, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, k: int
) -> None:
    path, options = tmp_path / f"a{suffix}", ExportOptions(format=FORMATS[suffix], decode=True, k=k)
    found = deliver(lively, path, options, Material(images=str(picture)))
    assert all(row.compared >= k and row.apart == 0 for row in found.differences)
    writes(monkeypatch, lambda outputs: {**outputs, "boxes": outputs["boxes"] * 1.5})
    with pytest.raises(ExportError, match=r"off by more than 0\.05 pixels"):
        deliver(lively, path, options, Material(images=str(picture)))


def test_the_report_of_a_refused_file_does_not_stand_beside_a_kept_one(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, options, material = tmp_path / "a.onnx", ExportOptions(format="onnx", decode=True, k=5), Material(images=str(picture))
    made, refused = network("size", spread=1.0), tmp_path / "a.onnx.refused.parity.json"
    deliver(made, path, options, material)
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        writes(patched, lambda outputs: {**outputs, "boxes": outputs["boxes"] * 1.5})
        with pytest.raises(ExportError, match=r"report: .*a\.onnx\.refused\.parity\.json"):
            deliver(made, path, options, material)
    assert path.read_bytes() == before
    assert report_of(path)["passed"] is True, "still of the file that is there"
    assert json.loads(refused.read_text())["passed"] is json.loads(refused.read_text())["is_written"] is False
    deliver(made, path, options, material)
    assert not refused.exists(), "nothing is refused any more"


@pytest.mark.parametrize(
    ("name", "change"), [("scores", lambda scores: scores * 0.9), ("class_ids", lambda ids: ids + 1)], ids=["scores", "class_ids"]
)
def test_a_list_of_one_is_compared_in_scores_and_classes_too(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[nn.Variable], nn.Variable]
) -> None:
    writes(monkeypatch, lambda outputs: {**outputs, name: change(outputs[name])})
    with pytest.raises(ExportError, match="says something else"):
        deliver(
            network("size", spread=1.0), tmp_path / "a.onnx", ExportOptions(format="onnx", decode=True, k=1), Material(images=str(picture))
        )


@pytest.mark.parametrize("k", [1, 100])
def test_flat_heatmaps_are_compared_as_sets(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, k: int) -> None:
    flat, options = network("size", spread=0.0), ExportOptions(format="onnx", decode=True, k=k)
    found = deliver(flat, tmp_path / "a.onnx", options, Material(images=str(picture)))
    assert all(row.compared >= k and row.apart == 0 for row in found.differences)
    writes(monkeypatch, lambda outputs: {**outputs, "boxes": outputs["boxes"] * 1.5})
    with pytest.raises(ExportError, match="boxes are not there"):
        deliver(flat, tmp_path / "b.onnx", options, Material(images=str(picture)))


def test_a_network_that_finds_nothing_anywhere_proves_nothing(picture: Path, tmp_path: Path) -> None:
    silent = network("size", spread=0.0)
    silent.network.parameters()["hm_final/conv/b"].d = -20
    path = tmp_path / "a.onnx"
    with pytest.raises(
        ExportError, match=r"nothing could be compared: in none of 3 images the network finds anything with a score of 0\.0001"
    ):
        deliver(silent, path, ExportOptions(format="onnx", decode=True, k=5), Material(images=str(picture)))
    assert report_of(path)["images"] == ["picture.png", "noise 0", "noise 1"]
    assert not path.exists()
    assert deliver(silent, path, ExportOptions(format="onnx"), Material(images=str(picture))).faults == [], "maps say more"
