"""`centernet data`: which actions there are, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from centernet import cli


@pytest.mark.parametrize("typed", [[], ["-h"], ["--help"]])
def test_without_an_action_the_overview_is_shown(capsys: pytest.CaptureFixture[str], typed: list[str]) -> None:
    assert cli.run("data", typed) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: centernet data ACTION [options]\n\n  show  ")


def test_the_help_of_an_action_lists_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run("data", ["show", "--help"])
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert shown.startswith("usage: centernet data show [-h]")
    assert all(word in shown for word in ("CONFIG", "--samples", "--epoch", "--data_dir", "--output", "--set"))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["shwo"], "'shwo' is not an action of `centernet data`; did you mean 'show'?"),
        (["show"], "the following arguments are required: CONFIG (`centernet data show --help` lists the options)"),
        (["show", "gone.yaml"], "gone.yaml: no such configuration file"),
        (["show", "a.yaml", "b.yaml"], "'b.yaml': one word too many"),
        (["show", "a.yaml", "--sample", "3"], "--sample: no such option; did you mean '--samples'?"),
        (["show", "a.yaml", "--samples", "0"], "--samples: expected a whole number above 0, found '0'"),
        (["show", "a.yaml", "--epoch", "-1"], "--epoch: expected a whole number from 0 on, found '-1'"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run("data", typed) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["init"], "the following arguments are required: DIR (`centernet data init --help` lists the options)"),
        (["init", "gone"], "gone: no such folder; expected one with images and annotations"),
        (["init", ".", "--format", "vco"], "--format: invalid choice: 'vco'"),
        (["init", ".", "--val", "0"], "--val: expected a number above 0, found '0'"),
        (["init", ".", "--val", "1.5"], "--val: expected a share between 0 and 1, found 1.5"),
    ],
)
def test_a_mistake_in_what_to_initialise_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run("data", typed) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())


def test_the_formats_that_help_lists_are_those_there_are() -> None:
    from centernet.cli import data
    from centernet.experiment import data_init

    assert tuple(data_init.FORMATS) == data.FORMATS
