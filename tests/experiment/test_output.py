"""Where results go."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest

from centernet.config import to_tree
from centernet.errors import OutputError
from centernet.experiment.choice import Choice, experiment
from centernet.experiment.output import default_folder, make_folder, output_folder

CFG = Path(__file__).resolve().parents[2] / "cfg"


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("resnet_18_coco_fp", "ctdet_coco_resnet_18"),
        ("dlav0_34_pascal_mp", "ctdet_pascal_dlav0_34"),
        ("quickstart", "ctdet_shapes_dlav0_34"),
    ],
)
def test_the_default_folder_is_named_as_the_predecessors(name: str, start: str) -> None:
    folder = default_folder(to_tree(experiment(Choice(yaml=CFG / f"{name}.yaml"))))
    assert folder.parent == Path("exp")
    assert re.fullmatch(rf"{start}_\d{{14}}", folder.name)


def test_a_folder_is_made_with_all_above_it_and_may_be_there(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert make_folder(folder) == make_folder(folder) == folder
    assert folder.is_dir()


def test_a_folder_below_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="below: the output folder cannot be made: Not a directory"):
        make_folder(tmp_path / "file" / "below")
    with pytest.raises(OutputError, match="file: is a file, expected the output folder"):
        make_folder(tmp_path / "file")


def test_a_folder_without_the_right_to_write_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="the output folder is not writable"):
        make_folder(tmp_path)


def test_an_error_leaves_no_empty_folder_but_all_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for folder in (tmp_path / "a" / "b", tmp_path / "old"):
        with suppress(KeyError), output_folder(folder):
            assert folder.is_dir()
            raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    with suppress(KeyError), output_folder(tmp_path / "c" / "d") as folder:
        (folder.parent / "kept").touch()
        raise KeyError
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["kept"]
    with output_folder(tmp_path / "e") as folder:
        pass
    assert folder.is_dir()
