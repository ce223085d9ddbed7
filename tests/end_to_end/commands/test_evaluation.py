"""`test`: the numbers of one model, and of every checkpoint of a training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Command = Callable[..., Any]


def test_results_and_detections_say_what_was_measured_and_how(
    tiny: Any, own_truth: tuple[str, ...], centernet: Command, tmp_path: Path
) -> None:
    ended = centernet("test", "ctdet", "--checkpoint", tiny.lively, *own_truth, "-o", tmp_path / "out", "--K", "20")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    numbers = {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"}
    assert numbers <= results.keys()
    assert 0.3 < results["AP"] <= 1
    assert set(results["per_class"]) == {"disk", "ring", "square", "triangle", "cross"}
    assert results["model"] == str(tiny.lively)
    protocol = results["protocol"]
    assert protocol.pop("runtime").startswith("OpenVINO ")
    assert protocol == {
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
    assert "metric coco, images 6, input size 64x64, scales 1, flip no, nms none, k 20" in ended.out
    for name in numbers:
        assert f"\n{name} " in ended.out

    found = json.loads((tmp_path / "out" / "detections.json").read_text())
    truth = json.loads((tiny.data / "annotations" / "own.json").read_text())
    assert {entry["image_id"] for entry in found} == {image["id"] for image in truth["images"]}
    assert {entry["category_id"] for entry in found} <= {category["id"] for category in truth["categories"]}
    of_first = sorted((entry for entry in found if entry["image_id"] == 7), key=lambda entry: -entry["score"])
    assert len(of_first) == 20
    for entry, object_ in zip(of_first, truth["annotations"][:3], strict=False):
        np.testing.assert_allclose(entry["bbox"], object_["bbox"], atol=1e-3)
        assert entry["category_id"] == object_["category_id"]
    assert any(entry["score"] != round(entry["score"], 2) for entry in found), "scores are not rounded"


def test_own_data_are_measured_as_voc_where_that_is_asked_for(
    tiny: Any, own_truth: tuple[str, ...], centernet: Command, tmp_path: Path
) -> None:
    """On annotations that are edges, not pixels; the objects are the network's own best detections."""
    ended = centernet("test", "--checkpoint", tiny.lively, *own_truth, "--set", "data.metric=voc", "-o", tmp_path / "out")
    assert "metric voc, images 6" in ended.out
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["protocol"]["metric"] == "voc"
    assert {"AP", "AP50_area"} <= results.keys()
    assert "AR100" not in results
    truth = json.loads((tiny.data / "annotations" / "own.json").read_text())
    names = {category["name"]: category["id"] for category in truth["categories"]}
    found = {name for name, identifier in names.items() if any(entry["category_id"] == identifier for entry in truth["annotations"])}
    assert {name for name, numbers in results["per_class"].items() if numbers["AP"] >= 0} == found
    assert 0.3 < results["AP"] <= 1


def test_every_checkpoint_of_a_folder_is_measured_in_numeric_order(tiny: Any, script: Command, tmp_path: Path) -> None:
    folder = tmp_path / "many" / "checkpoints"
    folder.mkdir(parents=True)
    for number in (10, 2, 0, 1):
        shutil.copy(tiny.lively, folder / f"params_{number}.h5")
    shutil.copy(tiny.lively, folder / "params_best.h5")  # not an epoch
    ended = script("test.py", "ctdet", "--data_dir", tiny.data, "--checkpoint_dir", folder.parent)
    order = [line.split("params_")[1].split(".")[0] for line in ended.out.splitlines() if ": AP " in line]
    assert order == ["0", "1", "2", "10"]
    lines = (folder.parent / "Val-mAP.series.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "10"]
    assert len({line.split()[1] for line in lines}) == 1
    assert (folder.parent / "Val-mAP.png").read_bytes().startswith(b"\x89PNG")


def test_the_data_section_comes_from_the_configuration_where_one_is_given(
    tiny: Any, centernet: Command, make_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = make_config(tmp_path / "other.yaml")
    tree = json.loads(config.read_text())
    split = {"images": "val", "annotations": "annotations/val.json"}
    tree["data"]["dataset"] = {"name": "coco", "train": split, "val": {"images": "train", "annotations": "annotations/train.json"}}
    config.write_text(json.dumps(tree))
    ended = centernet("test", "--train-config", config, "--data_dir", tiny.data, "--checkpoint", tiny.lively, "-o", tmp_path / "out")
    assert "images 12" in ended.out


def test_a_data_set_of_other_classes_is_refused(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    annotations = json.loads((tiny.data / "annotations" / "val.json").read_text())
    annotations["categories"][0]["name"] = "dish"
    (tmp_path / "other.json").write_text(json.dumps(annotations))
    split = f"{{images: {tiny.data / 'val'}, annotations: {tmp_path / 'other.json'}}}"
    words = ("--checkpoint", tiny.lively, "--data_dir", tmp_path, "--set", f"data.dataset={{name: coco, val: {split}}}")
    ended = centernet("test", *words, code=2)
    assert "disk, ring, square, triangle" in ended.err
    assert "dish, ring, square, triangle" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("--keep_res",),
        ("--test_scales", "0.5,1,1.5"),
        ("--batch_size", "5"),
        ("--runtime", "nnabla"),
        ("--flip_test", "--nms", "--soft_nms_reference"),
    ],
)
def test_the_options_of_testing_work_together_with_the_data(
    tiny: Any, own_truth: tuple[str, ...], centernet: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    centernet("test", "--checkpoint", tiny.lively, *own_truth, "-o", tmp_path / "out", *words)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert 0 < results["AP"] <= 1
    assert results["protocol"]["flip"] is ("--flip_test" in words)
    assert (results["protocol"]["nms"] == "none") is ("--nms" not in words and "--test_scales" not in words)


def test_the_protocol_stands_beside_the_ap_of_a_validation(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    words = ("--train-config", tiny.config, "--data_dir", tiny.data, "--set", "train.epochs=1", "--flip_test")
    ended = centernet("train", *words, "-o", tmp_path / "out")
    measured, ap = (line for line in ended.err.splitlines() if "epoch 1/1: AP with" in line or "held out" in line)
    assert "metric coco, images 6, input size 64x64, scales 1, flip yes, nms none" in measured
    assert "OpenVINO" in measured
    assert "AP " in ap


def test_an_unreadable_image_stops_an_evaluation_or_counts_without_detections(
    tiny: Any, own_truth: tuple[str, ...], centernet: Command, tmp_path: Path
) -> None:
    data = tmp_path / "shapes"
    shutil.copytree(tiny.data, data)
    image = data / "val" / "000002.jpg"
    image.write_bytes(image.read_bytes()[:400])
    words = ("--checkpoint", tiny.lively, *own_truth, "--data_dir", data)

    stopped = centernet("test", *words, "-o", tmp_path / "stop", code=2)
    assert stopped.err.startswith("error: ")
    assert "000002.jpg" in stopped.err

    skipped = centernet("test", *words, "-o", tmp_path / "skip", "--set", "data.on_bad_image=skip")
    assert "000002.jpg" in skipped.err
    centernet("test", "--checkpoint", tiny.lively, *own_truth, "-o", tmp_path / "whole")
    skip, whole = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("skip", "whole"))
    assert skip["protocol"]["images"] == whole["protocol"]["images"] == 6
    assert skip["AR100"] < whole["AR100"]
    found, expected = (json.loads((tmp_path / name / "detections.json").read_text()) for name in ("skip", "whole"))
    assert found == [entry for entry in expected if entry["image_id"] != 8]


def test_training_puts_the_next_sample_in_the_place_of_an_unreadable_one(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    data = tmp_path / "shapes"
    shutil.copytree(tiny.data, data)
    (data / "train" / "000005.jpg").write_bytes(b"no picture")
    (data / "val" / "000001.jpg").unlink()
    words = ("train", "--train-config", tiny.config, "--data_dir", data, "--set", "train.epochs=1")

    stopped = centernet(*words, "-o", tmp_path / "stop", code=2)
    assert "000005.jpg" in stopped.err

    ended = centernet(*words, "-o", tmp_path / "skip", "--set", "data.on_bad_image=skip")
    assert ended.err.count("000005.jpg") == 1, "named once, however often it comes up"
    assert "000001.jpg" in ended.err
    assert (tmp_path / "skip" / "checkpoints" / "params_0.h5").is_file()
