"""What a run writes replaces what earlier runs wrote, unless it fails; Ctrl-C does not part what belongs together."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from centernet.errors import OutputError
from centernet.experiment.demo_files import ResultFiles, SourceFiles, together


def folder_with(folder: Path, **texts: str) -> ResultFiles:
    for name, text in texts.items():
        (folder / name).write_text(text)
    return ResultFiles(folder)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_what_a_run_wrote_goes_and_what_was_there_comes_back(tmp_path: Path) -> None:
    files = folder_with(tmp_path, a="old a", b="old b", c="old c")
    for name in ("a", "b", "new", "a"):
        files.begin(name).write_text("new")
    files.begin("never written")
    assert (tmp_path / "a").read_text() == "new", "it can be read while it is written"
    files.undo()
    assert contents(tmp_path) == {"a": "old a", "b": "old b", "c": "old c"}


def test_a_whole_run_replaces_what_was_there_and_leaves_nothing_else(tmp_path: Path) -> None:
    files = folder_with(tmp_path, a="old a", c="old c")
    for name in ("a", "new"):
        files.begin(name).write_text("new")
    files.keep()
    files.undo()  # nothing is left to undo
    assert contents(tmp_path) == {"a": "new", "new": "new", "c": "old c"}


def test_a_file_that_is_read_is_not_replaced_under_any_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("picture")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    (tmp_path / "other.jpg").write_text("picture")
    sources = SourceFiles((tmp_path / "a.jpg", tmp_path / "gone.jpg"))
    for name in ("a.jpg", "link.jpg"):
        with pytest.raises(OutputError, match=f"{name}: would be overwritten by its own result"):
            sources.check(tmp_path / name)
    sources.check(tmp_path / "other.jpg")
    sources.check(tmp_path / "gone.jpg")


def test_an_interruption_waits_for_the_end_of_what_belongs_together() -> None:
    done = []

    def work() -> None:
        with together():
            signal.raise_signal(signal.SIGINT)
            done.append("first")
        done.append("behind")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["first"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interruption_does_not_wait() -> None:
    done = []

    def work() -> None:
        with together():
            signal.raise_signal(signal.SIGINT)
            done.append("first")
            signal.raise_signal(signal.SIGINT)
            done.append("second")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["first"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
