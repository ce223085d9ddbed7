"""Exports for other programs: formats, sizes and precisions, the parity report, and when a file is not written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.cli.quickstart import _Steps
from centernet.experiment import parity
from centernet.experiment.agreement import Tolerance

Command = Callable[..., Any]


def load(path: Path, **settings: Any) -> Any:
    import centernet

    return centernet.load(path, precision="float32", **settings)


def report_of(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.with_name(path.name + ".parity.json").read_text())
    return report


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.stem}.*") if file.suffix != ".json")


def assert_near(found: Any, expected: Any, *, boxes: float, scores: float) -> None:
    """Detections that differ by no more, in the order of their scores up to that."""
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.scores, expected.scores, atol=scores)
    for box, class_id in zip(expected.boxes[:10], expected.class_ids, strict=False):
        assert abs(found.boxes - box).max(axis=1)[found.class_ids == class_id].min() <= boxes


@pytest.mark.parametrize("words", [(), ("--decode",)])
def test_openvinos_own_format_is_used_like_any_other_model(
    tiny: Any, centernet: Command, own_truth: tuple[str, ...], tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = tmp_path / "resnet_18.xml"
    ended = centernet("export", tiny.lively, "--format", "openvino", "-o", tmp_path, "--K", 20, *words)
    assert "wrote" in ended.out
    assert {file.name for file in tmp_path.iterdir()} == {"resnet_18.xml", "resnet_18.bin", "resnet_18.xml.parity.json"}
    expected = load(tiny.lively, runtime="nnabla", k=20).predict(tiny.images[0])
    found = load(path, k=20).predict(tiny.images[0])
    assert_near(found, expected, boxes=1e-3, scores=1e-5)
    assert found.class_names == expected.class_names
    centernet("test", "--checkpoint", path, *own_truth, "-o", tmp_path / "results")
    assert json.loads((tmp_path / "results" / "results.json").read_text())["AP"] > 0.3
    assert "runtime onnxruntime does not read .xml files; expected openvino" in (
        centernet("demo", "--checkpoint", path, "--demo", tiny.images[0], "--runtime", "onnxruntime", code=2).err
    )


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_an_open_size_takes_the_sizes_and_the_resolution_of_images(tiny: Any, centernet: Command, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"open{suffix}"
    words = ("--decode", "--dynamic", "--K", 20, "--input-size", 64, 96)
    ended = centernet("export", tiny.lively, "-o", path, *words)
    assert "input 64x96 or any other)" in ended.out
    assert {tuple(row["input_size"]) for row in report_of(path)["differences"]} == {(64, 96), (96, 160)}
    for settings in ({}, {"input_size": (128, 64)}, {"keep_resolution": True}):
        asked = {"input_size": (64, 96)} | settings
        expected = load(tiny.lively, runtime="nnabla", k=20, **asked).predict(tiny.images[0])
        assert_near(load(path, k=20, **settings).predict(tiny.images[0]), expected, boxes=1e-3, scores=1e-5)


@pytest.mark.parametrize("suffix", [".onnx", pytest.param(".xml", marks=pytest.mark.slow)])
def test_two_bytes_a_number_halve_the_file_and_change_little(tiny: Any, centernet: Command, tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    centernet("export", tiny.lively, "-o", whole)
    expected = load(tiny.lively, runtime="nnabla").predict(tiny.images[0])
    weights = 4 * sum(array.size for array in _parameters(tiny.lively))
    for precision in ("float16", "bfloat16"):
        path = tmp_path / f"{precision}{suffix}"
        centernet("export", tiny.lively, "-o", path, "--precision", precision)
        assert size_of(path) < size_of(whole) - 0.45 * weights
        detector = load(path)
        assert detector.session.precision == f"{precision} and float32"
        assert_near(detector.predict(tiny.images[0]), expected, boxes=3.0, scores=0.02)
        assert report_of(path)["passed"] is True
        assert report_of(path)["differences"][0]["maps"] > 1e-6, "nothing was rounded"


def _parameters(path: Path) -> list[Any]:
    from centernet.weights.store import read_parameters

    return list(read_parameters(path).parameters.values())


@pytest.mark.parametrize("suffix", [pytest.param(".onnx", marks=pytest.mark.slow), ".xml"])
def test_eight_bits_are_calibrated_measured_and_refused_where_ap_falls_too_far(
    tiny: Any, centernet: Command, own_truth: tuple[str, ...], tmp_path: Path, suffix: str
) -> None:
    pytest.importorskip("nncf")
    path = tmp_path / f"eight{suffix}"
    words = ("export", tiny.lively, "-o", path, "--decode", "--precision", "int8", *own_truth)
    ended = centernet(*words, "--max-drop", 100)
    told = report_of(path)
    assert told["ap"]["before"] > 0.3
    assert 0 < told["ap"]["after"] < told["ap"]["before"]
    assert "AP changes by -" in ended.out
    assert load(path).session.precision == "int8 and float32"
    before = path.read_bytes()
    ended = centernet(*words, "--max-drop", 0.0001, code=2)
    assert "AP changes by -" in ended.out, "printed either way"
    assert "AP falls by" in ended.err
    assert "--max-drop is 0.0001" in ended.err
    assert path.read_bytes() == before, "an older file survives"


def test_eight_bits_need_images_to_calibrate_with(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    words = ("export", tiny.lively, "-o", tmp_path / "a.xml", "--precision", "int8")
    assert "give images to calibrate with: --data_dir (its training split) or --calibration FOLDER" in centernet(*words, code=2).err
    ended = centernet(*words, "--calibration", tiny.images[0].parent)
    assert "AP: not measured" in ended.out
    assert "Statistics collection" not in ended.out + ended.err, "NNCF's progress bars"
    assert report_of(tmp_path / "a.xml")["tolerance"]["maps"] == 8, "without AP there are limits"


@pytest.mark.parametrize("suffix", [".nnp", ".onnx"])
def test_the_report_names_every_runtime_and_the_real_images(
    tiny: Any, centernet: Command, own_truth: tuple[str, ...], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    ended = centernet("export", tiny.lively, "-o", path, *own_truth)
    told = report_of(path)
    assert told["passed"] is True
    assert told["images"] == [tiny.images[i].name for i in (0, 2, 3, 5)]
    runtimes = [row["runtime"].split()[0] for row in told["differences"]]
    assert runtimes == {".nnp": ["NNabla"], ".onnx": ["OpenVINO", "ONNX"]}[suffix]
    assert all(row["compared"] > 20 and row["apart"] == 0 and 0 <= row["maps"] < 1e-3 for row in told["differences"])
    assert told["ap"]["after"] == pytest.approx(told["ap"]["before"], abs=1e-6)
    measured = [told["ap"]["after_runtime"], *(row["runtime"] for row in told["ap"]["others"])]
    assert [name.split()[0] for name in measured] == runtimes
    assert all(row["after"] == pytest.approx(told["ap"]["before"], abs=1e-6) for row in told["ap"]["others"])
    for row in told["differences"]:
        assert row["runtime"] in ended.out
    own = centernet("export", tiny.lively, "-o", path, "--images", tiny.images[1])
    assert f"on 1 images ({tiny.images[1].name})" in own.out


def test_what_the_quickstart_exports_is_proved_too(tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(tiny.lively, tmp_path / "checkpoints" / "params_best.h5")
    files = _Steps(tiny.config, tiny.data, tmp_path, ()).export()
    assert [path.name for path in files] == ["quickstart.nnp", "quickstart_decoded.nnp", "quickstart_decoded.onnx"]
    for path in files:
        told = report_of(path)
        assert told["passed"] is True
        assert told["file"] == str(path)
        assert set(told["images"]) <= {image.name for image in tiny.images}, "images that it has never seen"
        assert all(row["compared"] > 20 for row in told["differences"])
    assert capsys.readouterr().out.count("largest differences:") == 3


def test_a_file_that_differs_is_not_written_and_the_report_says_by_how_much(
    tiny: Any, centernet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.onnx"
    strict = Tolerance(maps=1e-12, boxes=1e-12, scores=1e-12, apart=0.0, lowest=1e-4)
    monkeypatch.setitem(parity.TOLERANCES, "float32", strict)
    ended = centernet("export", tiny.lively, "-o", path, code=2)
    assert f"{path}: not written, it says something else than the network: " in ended.err
    assert "allowed 1e-12" in ended.err
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx.parity.json"]
    assert report_of(path)["passed"] is False
    assert report_of(path)["faults"]


def test_a_file_nothing_here_can_run_says_why_it_was_not_compared(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    ended = centernet("export", tiny.lively, "-o", tmp_path / "a.nnp", "--channel_last")
    assert f"not run: {tmp_path / 'a.nnp'}: was exported in NHWC, which NNabla computes on GPUs only" in ended.out
    centernet("export", tiny.lively, "-o", tmp_path / "a.onnx", "--channel_last", "--mixed_precision", "--decode")
    assert [row["apart"] for row in report_of(tmp_path / "a.onnx")["differences"]] == [0, 0]


def test_what_an_nnp_cannot_hold_is_refused(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    words = ("export", tiny.lively, "-o", tmp_path / "a.nnp")
    assert "--dynamic: an .nnp holds one input size" in centernet(*words, "--dynamic", code=2).err
    assert "--precision float16: an .nnp holds float32 parameters" in centernet(*words, "--precision", "float16", code=2).err
    assert list(tmp_path.iterdir()) == []


def test_an_input_size_is_a_pair_of_multiples_of_32(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    words = ("export", tiny.lively, "-o", tmp_path / "a.onnx")
    centernet(*words, "--input-size", 96, 64)
    assert load(tmp_path / "a.onnx").spec.size == (96, 64)
    assert "expected multiples of 32" in centernet(*words, "--input-size", 100, 64, code=2).err
    assert "give one of them" in centernet(*words, "--input-size", 96, 64, "--input_res", 64, code=2).err


def test_metadata_says_how_to_use_the_file(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    from centernet.export.onnx import read_metadata

    centernet("export", tiny.lively, "-o", tmp_path / "a.onnx", "--decode", "--K", 9)
    texts = {key: json.loads(text) for key, text in read_metadata(tmp_path / "a.onnx").items()}
    assert texts.keys() == {"centernet", "protocol", "class_names", "stride", "mean", "std"}
    assert (texts["class_names"], texts["stride"]) == (["disk", "ring", "square", "triangle", "cross"], 4)
    assert texts["mean"] == pytest.approx([0.40789654, 0.44719302, 0.47026115])
    assert texts["protocol"]["input_size"] == [64, 64]
    assert (texts["protocol"]["k"], texts["protocol"]["precision"], texts["protocol"]["size_is_open"]) == (9, "float32", False)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_real_images_compare_calibrate_and_measure(tiny: Any, real_data: Path, centernet: Command, tmp_path: Path, precision: str) -> None:
    """Blood cells: 87 images to validate, 205 to train and calibrate."""
    config = json.loads(tiny.config.read_text())
    splits = {name: {"folders": ["."], "image_sets": [name]} for name in ("train", "val")}
    config["data"] = {"dataset": {"name": "voc", **splits}, "input_size": [64, 96]}
    config["train"] |= {"epochs": 1, "schedule": {"base_lr": 2e-3, "warmup_epochs": 0}}
    (tmp_path / "cells.yaml").write_text(json.dumps(config))
    data = ("--data_dir", real_data / "bccd")
    centernet("train", "--train-config", tmp_path / "cells.yaml", *data, "-o", tmp_path / "out")
    path = tmp_path / "cells.onnx"
    centernet("export", tmp_path / "out" / "checkpoints" / "params_best.h5", "-o", path, "--decode", "--precision", precision, *data)
    told = report_of(path)
    assert (told["ap"]["metric"], told["ap"]["images"]) == ("voc", 87)
    assert told["ap"]["after"] == pytest.approx(told["ap"]["before"], abs=1e-4 if precision == "float32" else 0.01)
    assert all(name.startswith("BloodImage_") for name in told["images"])
    assert [row["compared"] > 0 for row in told["differences"]] == [True, True]
