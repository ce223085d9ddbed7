"""What `test`, `demo` and `export` make of a model file and the options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from centernet.cli import machine, parsing
from centernet.errors import ConfigError, WeightsError
from centernet.experiment import detector, model_files
from centernet.experiment.choice import Choice
from centernet.experiment.detector import Options
from centernet.experiment.inference_graph import Machine
from centernet.experiment.published import describe
from centernet.experiment.schema import TestConfig
from centernet.geometry.nms import SoftNms

CFG = Path(__file__).resolve().parents[2] / "cfg"
OWN = describe(Choice(words={"arch": "resnet"}))


def parse(*typed: str) -> Any:
    return parsing.parse(parsing.make_parser("test", "text", program="test"), "test", typed)


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A model file that says `own` of itself; and what `load` was asked for."""
    seen: dict[str, Any] = {"own": OWN}
    monkeypatch.setattr(model_files, "own_description", lambda path: seen["own"])
    monkeypatch.setattr(model_files, "load", lambda path, **asked: seen.update(asked) or SimpleNamespace(suppression=None))
    return seen


def test_a_machine_is_what_was_typed_over_the_commands_defaults() -> None:
    assert machine.machine(parse()) == Machine()
    assert machine.machine(parse(), precision="float32", threads=2) == Machine(precision="float32", threads=2)
    typed = parse("--precision", "bfloat16", "--runtime", "nnabla", "--extension_module", "cpu", "--gpus", "-1")
    expected = Machine(runtime="nnabla", precision="bfloat16", extension="cpu", gpu=None)
    assert machine.machine(typed, precision="float32") == expected
    assert machine.machine(parse(), performance="throughput").performance == "throughput"
    assert machine.machine(parse("--performance", "latency"), performance="throughput").performance == "latency"


def test_options_come_from_the_section_test_of_the_yaml_then_from_what_was_typed(file: dict[str, Any], tmp_path: Path) -> None:
    yaml = tmp_path / "x.yaml"
    yaml.write_text((CFG / "resnet_18_coco_fp.yaml").read_text() + "test: {k: 7, scales: [0.5, 1], batch_size: 3, keep_resolution: true}\n")
    machine.open_detector(Path("m.h5"), parse("--train-config", str(yaml)))
    assert file["options"] == Options(k=7, scales=(0.5, 1.0), batch_size=3, keep_resolution=True)
    typed = ["--K", "9", "--test_scales", "1", "--batch_size", "2", "--fix_res", "--input_res", "64"]
    machine.open_detector(Path("m.h5"), parse("--train-config", str(yaml), *typed), with_maps=True)
    assert file["options"] == Options(k=9, scales=(1.0,), batch_size=2, input_size=(64, 64), with_maps=True)


@pytest.mark.parametrize("word", ["--flip_test", "--test_flip"])
def test_a_flip_test_is_called_by_either_of_its_published_names(file: dict[str, Any], word: str) -> None:
    machine.open_detector(Path("m.h5"), parse(word))
    assert file["options"].flip_test


def test_the_options_of_testing_are_typed_over_the_section_test(file: dict[str, Any]) -> None:
    typed = ("--flip_test", "--nms", "--soft_nms_reference", "--keep_res", "--test_scales", "0.5,1.5", "--K", "7")
    machine.open_detector(Path("m.h5"), parse(*typed, "--set", "test.soft_nms={method: linear, overlap: 0.3}"))
    assert file["options"] == Options(
        flip_test=True,
        nms=True,
        soft_nms_reference=True,
        keep_resolution=True,
        scales=(0.5, 1.5),
        k=7,
        soft_nms=SoftNms(method="linear", overlap=0.3),
        batch_size=8,
    )


def test_a_file_that_describes_itself_needs_no_words_and_none_may_contradict_it(file: dict[str, Any]) -> None:
    _, config = machine.open_detector(Path("m.h5"), parse("ctdet", "--data_dir", "d", "--set", "test.max_detections=5"))
    assert file["described"] is OWN
    assert config.data.root == "d"
    assert file["options"].max_detections == 5
    with pytest.raises(ConfigError, match=r"--arch dlav0 was typed, but m\.h5 says arch resnet"):
        machine.open_detector(Path("m.h5"), parse("--arch", "dlav0"))


def test_the_words_of_a_file_that_describes_itself_need_no_classes_of_their_own(file: dict[str, Any]) -> None:
    """A data set without published classes, and no folder to read them from."""
    file["own"] = replace(OWN, experiment={**OWN.experiment, "data": {"dataset": {"name": "shapes"}, "input_size": [96, 96]}})
    machine.open_detector(Path("m.h5"), parse("--train-config", str(CFG / "quickstart.yaml")))
    assert file["described"] is file["own"]


def test_a_file_without_a_word_is_what_was_typed(file: dict[str, Any]) -> None:
    file["own"] = None
    machine.open_detector(Path("m.h5"), parse("--arch", "dlav0", "--dataset", "pascal"))
    assert file["described"] == describe(Choice(words={"arch": "dlav0", "dataset": "pascal"}))
    with pytest.raises(WeightsError, match=r"m\.h5: says nothing about its network; name it: --dataset, --arch and --num_layers"):
        machine.open_detector(Path("m.h5"), parse())


def test_a_checkpoint_has_to_be_typed() -> None:
    assert machine.checkpoint(parse("--trained_model_path", "x.h5")) == Path("x.h5")
    with pytest.raises(ConfigError, match="which model"):
        machine.checkpoint(parse())


def test_the_section_test_is_all_a_detector_needs() -> None:
    section = TestConfig(k=1, max_detections=2, keep_resolution=True, scales=(1.5,), batch_size=4)
    assert detector.options_of(section) == Options(k=1, max_detections=2, keep_resolution=True, scales=(1.5,), batch_size=4)
