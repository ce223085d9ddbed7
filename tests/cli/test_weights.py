"""`centernet weights`: which actions there are, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from centernet import cli


@pytest.mark.parametrize("typed", [[], ["--help"]])
def test_without_an_action_the_overview_is_shown(capsys: pytest.CaptureFixture[str], typed: list[str]) -> None:
    assert cli.run("weights", typed) == 0
    assert capsys.readouterr().out.startswith("usage: centernet weights ACTION [options]\n\n  list  ")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["fetch"], "'fetch' is not an action of `centernet weights`; known: get, list"),
        (["get"], "the following arguments are required: NAME (`centernet weights get --help` lists the options)"),
        (["get", "resnet_18_coco"], "'resnet_18_coco' is not a published file; did you mean 'resnet_18_coco_"),
        (["get", "resnet18_nchw_imagenet", "--ulr", "x"], "--ulr: no such option; did you mean '--url'?"),
        (["get", "resnet18_nchw_imagenet", "--url", "x"], "--url: found 'x', expected an address"),
        (["list", "x"], "'x': one word too many"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run("weights", typed) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not list(tmp_path.iterdir())


def test_a_list_says_what_is_partly_here(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "ctdet").mkdir()
    (tmp_path / "ctdet" / ".resnet_18_coco_fp.part.h5").write_bytes(bytes(2_500_000))
    assert cli.run("weights", ["list", "--folder", str(tmp_path)]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("resnet_18_coco_fp"))
    assert line.endswith(f"-     2.5 MB of it  {tmp_path}/ctdet/resnet_18_coco_fp.h5")
