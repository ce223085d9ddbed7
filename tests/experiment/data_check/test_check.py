"""A whole check: from the configuration to the verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from centernet import cli
from centernet.errors import DataError
from centernet.experiment.data_check import check, draw_offenders
from centernet.imaging.io import read_image


def codes(project: Any, *assignments: str) -> list[str]:
    return [problem.code for problem in check(project.experiment(*assignments)).problems]


def test_a_sound_data_set_is_summed_up(project: Any) -> None:
    checked = check(project.experiment())
    assert checked.is_sound
    assert list(checked.problems) == []
    assert checked.num_images == checked.num_objects == {"train": 12, "val": 4}
    assert checked.counts == {"cat": {"train": 12, "val": 4}}
    assert checked.box_sides == pytest.approx([(32 * 16) ** 0.5] * 3)
    assert (checked.input_size, checked.stride, checked.is_decoded) == ((64, 64), 4, True)
    assert not check(project.experiment(), decode=False).is_decoded


def test_what_the_configuration_says_decides_what_is_wrong(project: Any) -> None:
    assert codes(project, "data.input_size=[32, 32]") == []
    project.change("train", lambda tree: tree["annotations"].append({"id": 99, "image_id": 0, "category_id": 1, "bbox": [50, 50, 6, 6]}))
    assert codes(project, "data.input_size=[32, 32]") == ["tiny-boxes"]
    assert codes(project) == []
    assert codes(project, "task.max_objects=1") == ["too-many-objects"]


def test_errors_come_first(project: Any) -> None:
    (project.root / "images" / "3.png").unlink()
    project.change("train", lambda tree: tree["annotations"][1].update(id=0))
    assert codes(project) == ["missing-images", "repeated-ids"]


def test_annotations_that_cannot_be_opened_are_a_problem_of_their_split(project: Any) -> None:
    project.change("val", lambda tree: tree["annotations"][0].update(category_id=9))
    checked = check(project.experiment())
    assert not checked.is_sound
    (problem,) = checked.problems
    assert (problem.code, problem.split) == ("unusable-annotations", "val")
    assert "category id 9 is not declared" in problem.text
    project.change("train", lambda tree: tree.pop("images"))
    with pytest.raises(DataError, match="'images' is missing"):
        check(project.experiment())


def test_splits_of_different_classes_are_an_error(project: Any) -> None:
    project.change("val", lambda tree: tree["categories"][0].update(name="dog"))
    (problem,) = check(project.experiment()).problems
    assert (problem.code, problem.text) == ("different-classes", "training has cat; validation has dog")


def test_offenders_are_drawn_a_row_for_each_problem(project: Any, tmp_path: Path) -> None:
    shutil.copy(project.root / "images" / "0.png", project.root / "images" / "12.png")
    boxes = {1: [20, 20, 0, 0], 2: [500, 8, 32, 16], 3: [8, -1e9, 32, 16], 4: [50, 40, 40, 60]}

    def spoil(tree: dict[str, Any]) -> None:
        for number, box in boxes.items():
            tree["annotations"][number].update(bbox=box)

    project.change("train", spoil)
    checked = check(project.experiment())
    assert [problem.code for problem in checked.problems] == ["copies-across-splits", "empty-boxes", "outside-boxes", "crossing-boxes"]
    (sheet,) = draw_offenders(checked.problems, checked.datasets, tmp_path / "out")
    height, width = read_image(sheet).shape[:2]
    assert height > 4 * 260
    assert width > 2 * 260


def test_without_offenders_nothing_is_drawn(project: Any, tmp_path: Path) -> None:
    checked = check(project.experiment())
    assert draw_offenders(checked.problems, checked.datasets, tmp_path / "out") == []
    assert not (tmp_path / "out").exists()


def test_the_command_prints_a_table_or_json_and_tells_by_its_exit_code(
    project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run("data", ["check", str(project.yaml)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "12 images, 12 objects to train, 4 images, 4 objects to validate"
    assert said[-1] == "nothing is wrong"
    project.change("train", lambda tree: tree["annotations"][1].update(bbox=[20, 20, 0, 0]))
    (project.root / "images" / "3.png").unlink()
    out = tmp_path / "out"
    assert cli.run("data", ["check", str(project.yaml), "-o", str(out)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert "ERROR   train missing-images: 1 of 12 images (8.3%): the file is not there" in said
    assert said[-3:] == ["2 errors, 0 warnings: training would suffer", f"wrote {out / 'check.json'}", f"wrote {out / 'offenders_1.png'}"]
    assert cli.run("data", ["check", str(project.yaml), "--json", "--no-decode"]) == 1
    printed, written = json.loads(capsys.readouterr().out), json.loads((out / "check.json").read_text())
    assert (printed.pop("is_decoded"), written.pop("is_decoded")) == (False, True)
    assert printed == written
    assert not printed["ok"]
    (empty,) = [problem for problem in printed["problems"] if problem["code"] == "empty-boxes"]
    assert empty["offenders"] == [{"split": "train", "image": str(project.root / "images" / "1.png"), "boxes": [[20, 20, 20, 20]]}]


def test_a_mistake_in_the_configuration_leaves_no_folder(project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["check", str(project.yaml), "-o", str(tmp_path / "out"), "--set"]
    assert cli.run("data", [*typed, "data.input_size=[60, 60]"]) == 2
    assert "data.input_size" in capsys.readouterr().err
    assert cli.run("data", [*typed, "data.root=nowhere"]) == 2
    assert "nowhere: the data folder does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
