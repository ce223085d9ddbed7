"""What a user points at is found, and what is written about it gets names of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.errors import DataError
from centernet.imaging.io import write_image
from centernet.imaging.sources import Source, check_readable, find_source, output_names


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty files in the current folder: what is in them does not matter here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt", "film.mp4", "sub/c.jpg", "odd[1].jpg"):
        (tmp_path / name).touch()
    return tmp_path


def paths(*names: str) -> tuple[Path, ...]:
    return tuple(map(Path, names))


def test_files_folders_and_patterns_are_told_apart(files: Path) -> None:
    assert find_source("a.png") == Source(images=paths("a.png"), is_one=True)
    assert find_source("film.mp4") == Source(videos=paths("film.mp4"), is_one=True)
    assert find_source(".") == Source(images=paths("a.png", "b.JPG", "odd[1].jpg"))
    assert find_source("odd[1].jpg").images == paths("odd[1].jpg")
    assert find_source("*.[pJ]*") == Source(images=paths("a.png", "b.JPG"))
    assert find_source("**/*.jpg").images == paths("odd[1].jpg", "sub/c.jpg")
    assert find_source("f*") == Source(videos=paths("film.mp4"))


def test_a_folder_of_videos_says_the_pattern_that_takes_them(files: Path) -> None:
    (files / "films").mkdir()
    for name in ("a.mov", "b.mov"):
        (files / "films" / name).touch()
    with pytest.raises(DataError, match=r"holds no images; .* a pattern takes its 2 videos: 'films/\*\.mov'$"):
        find_source("films")


def test_a_source_of_which_nothing_can_be_read_is_an_error(files: Path) -> None:
    with pytest.raises(DataError, match=r"^a\.png: the file is empty"):
        check_readable(find_source("a.png"))
    with pytest.raises(DataError, match=r"^film\.mp4: no frame can be decoded"):
        check_readable(find_source("*.mp4"))
    with pytest.raises(DataError, match=r"^none of 3 files can be read; the first is a\.png: the file is empty"):
        check_readable(find_source("."))
    write_image("b.png", np.zeros((4, 4, 3), np.uint8))
    check_readable(find_source("."))
    check_readable(find_source("b.png"))


@pytest.mark.parametrize(("text", "number"), [("webcam", 0), ("webcam:0", 0), ("webcam:13", 13)])
def test_a_camera_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch, text: str, number: int) -> None:
    monkeypatch.setattr("centernet.imaging.sources.Camera", lambda number: f"camera {number}")
    assert find_source(text) == Source(camera=f"camera {number}", is_one=True)  # type: ignore[arg-type]


def test_a_file_called_like_a_camera_is_the_file(files: Path) -> None:
    (files / "webcam").touch()
    assert find_source("webcam").images == paths("webcam")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nowhere.jpg", "nowhere.jpg: no such file or folder"),
        ("*.gif", r"\*.gif: no image or video matches the pattern$"),
        ("*.txt", r"\*.txt: no image or video matches the pattern, only 1 other files"),
        ("webcam:front", "webcam:front: expected webcam or webcam:N"),
    ],
)
def test_what_is_not_there_is_said(files: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        find_source(text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), []),
        (("x/a.jpg", "x/b.png"), ["a", "b"]),
        (("x/a.jpg", "x/a.png"), ["a.jpg", "a.png"]),
        (("x/a.jpg", "y/a.jpg", "y/b.jpg"), ["x_a", "y_a", "b"]),
        (("1/x/a.jpg", "2/x/a.jpg"), ["1_x_a.jpg", "2_x_a.jpg"]),
        (("0/1/x/a.jpg", "1/1/x/a.jpg"), ["1_x_a.jpg", "1_x_a.jpg_2"]),
        (("x/a.jpg", "y/a.jpg", "z/x_a.jpg"), ["x_a", "y_a", "x_a_2"]),
    ],
)
def test_every_file_gets_a_name_of_its_own(given: tuple[str, ...], expected: list[str]) -> None:
    assert output_names(paths(*given)) == expected
    assert len(set(expected)) == len(given)
