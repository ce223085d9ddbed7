"""Where a data set is looked for that no option and no file names."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from centernet import config as configuration
from centernet.experiment import choice, data_folder
from centernet.experiment.choice import Choice
from centernet.experiment.data_folder import with_data_folder
from centernet.experiment.schema import ExperimentConfig

LAYOUT = {"coco": "data/coco/annotations/instances_val2017.json", "pascal": "data/voc/annotations/pascal_test2007.json"}


@pytest.fixture(autouse=True)
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines told to the user, in an empty current folder."""
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.Logger("test", logging.INFO)
    logger.addHandler(handler)
    monkeypatch.setattr(data_folder, "LOG", logger)
    return lines


def experiment(dataset: str = "coco", root: str | None = None) -> ExperimentConfig:
    return choice.experiment(Choice(words={"dataset": dataset, "arch": "resdcn_18"}, keys={} if root is None else {"data.root": root}))


def lay_out(dataset: str) -> None:
    Path(LAYOUT[dataset]).parent.mkdir(parents=True)
    Path(LAYOUT[dataset]).touch()


def record(training: Path, config: ExperimentConfig) -> None:
    training.mkdir()
    configuration.write_yaml(configuration.to_tree(config), training / "config.yaml")


@pytest.mark.parametrize(("dataset", "folder"), [("coco", "data/coco"), ("pascal", "data/voc")])
def test_the_official_layout_in_the_current_folder_is_taken_and_said(dataset: str, folder: str, said: list[str]) -> None:
    assert with_data_folder(experiment(dataset)).data.root is None
    lay_out(dataset)
    assert with_data_folder(experiment(dataset)).data.root == folder
    assert said == [f"data: {folder}, the official system's layout in the current folder; --data_dir names another"]


def test_a_folder_that_was_named_is_never_replaced(said: list[str]) -> None:
    lay_out("coco")
    assert with_data_folder(experiment(root="mine")).data.root == "mine"
    assert said == []


def test_the_folder_recorded_at_training_comes_first(tmp_path: Path, said: list[str]) -> None:
    lay_out("coco")
    (tmp_path / "mine").mkdir()
    record(tmp_path / "out", experiment(root=str(tmp_path / "mine")))
    assert with_data_folder(experiment(), training=tmp_path / "out").data.root == str(tmp_path / "mine")
    assert said == [f"data: {tmp_path}/mine, as {tmp_path}/out/config.yaml says; --data_dir names another"]


def test_a_recorded_folder_that_is_gone_or_of_other_data_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    record(tmp_path / "gone", experiment(root="nowhere"))
    record(tmp_path / "other", experiment("pascal", root="mine"))
    record(tmp_path / "none", experiment())
    for name in ("gone", "other", "none", "never"):
        assert with_data_folder(experiment(), training=tmp_path / name).data.root is None


def test_data_of_another_layout_are_not_taken_for_the_official_ones(tmp_path: Path) -> None:
    (tmp_path / "data" / "coco").mkdir(parents=True)
    assert with_data_folder(experiment()).data.root is None
