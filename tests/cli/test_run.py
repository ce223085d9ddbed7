"""The command line as a whole: commands, exit codes, and what stays silent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import centernet
from centernet import cli
from centernet.errors import TrainingError, WeightsError

SOURCES = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What `centernet demo` returns, or raises where it is an error."""
    results: list[object] = [0]

    def main(typed: Sequence[str], *, program: str) -> object:
        if isinstance(results[0], BaseException):
            raise results[0]
        return results[0]

    monkeypatch.setattr("centernet.cli.demo.main", main)
    return results


@pytest.mark.parametrize(
    ("result", "code", "said"),
    [
        (0, 0, ""),
        (None, 0, ""),
        (143, 143, ""),
        (WeightsError("x.h5: gone"), 2, "error: x.h5: gone\n"),
        (TrainingError("loss is nan"), 3, "error: loss is nan\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_the_exit_code_says_how_it_ended(
    outcome: list[object], capsys: pytest.CaptureFixture[str], result: object, code: int, said: str
) -> None:
    outcome[0] = result
    assert cli.run("demo", []) == code
    assert capsys.readouterr().err == said


def test_a_mistake_of_ours_is_not_hidden(outcome: list[object]) -> None:
    outcome[0] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        cli.run("demo", [])


def test_an_error_of_a_later_process_waits_for_the_first_to_speak(
    outcome: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome[0] = WeightsError("x.h5: gone")
    waited: list[float] = []
    monkeypatch.setattr("centernet.cli.time.sleep", waited.append)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", rank)
        assert cli.run("demo", []) == 2
    assert waited == [0, 0.5]


def test_without_a_command_the_overview_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for typed in ([], ["--help"], ["-h"]):
        assert cli.dispatch(typed) == 0
        shown = capsys.readouterr().out
        assert all(f"\n  {name} " in shown for name in cli.COMMANDS)
    assert cli.dispatch(["--version"]) == 0
    assert capsys.readouterr().out == f"{centernet.__version__}\n"


def test_a_command_gets_what_was_typed_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr("centernet.cli.graph.main", lambda typed, program: seen.append((typed, program)))
    assert cli.dispatch(["graph", "--arch", "dlav0"]) == 0
    assert seen == [(["--arch", "dlav0"], "centernet graph")]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_help_that_needs_no_nnabla(name: str) -> None:
    check = f"import sys; from centernet import cli; cli.run({name!r}, ['--help'])"
    ended = subprocess.run(
        [sys.executable, "-c", f"try:\n  {check}\nexcept SystemExit as end: assert not end.code\nassert 'nnabla' not in sys.modules"],
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    assert f"usage: centernet {name}" in ended.stdout


def test_a_missing_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'centernet' has no attribute 'laod'"):
        _ = centernet.laod  # type: ignore[attr-defined]


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    program = "import sys; sys.stdin.read(); from centernet.cli import dispatch; sys.exit(dispatch(['--help']))"
    command = [sys.executable, "-u", "-c", program]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()  # now it may write
        assert process.stderr.read() == ""
        assert process.wait() == 0
