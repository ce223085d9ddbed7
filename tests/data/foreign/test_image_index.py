"""Images found by what annotations call them."""

from __future__ import annotations

from pathlib import Path

import pytest

from centernet.data.foreign.image_index import ImageIndex, walk

INDEX = ImageIndex(["train/images/a.jpg", "valid/images/a.jpg", "train/images/b.PNG", "c.d.jpeg", "notes.txt"])


@pytest.mark.parametrize(
    ("name", "near", "found"),
    [
        ("b.PNG", "", "train/images/b.PNG"),
        ("b.png", "", "train/images/b.PNG"),
        ("b", "", "train/images/b.PNG"),
        (r"C:\data\b.png", "", "train/images/b.PNG"),
        ("/home/me/c.d.jpeg", "", "c.d.jpeg"),
        ("c.d", "", "c.d.jpeg"),
        ("a.jpg", "", None),  # either
        ("a.jpg", "train/labels/x.csv", "train/images/a.jpg"),
        ("valid/images/a.jpg", "", "valid/images/a.jpg"),
        ("../valid/images/a.jpg", "train/x.csv", "valid/images/a.jpg"),
        ("gone.jpg", "", None),
        ("", "", None),
    ],
)
def test_an_image_is_found_by_its_name_and_the_folders_it_shares(name: str, near: str, found: str | None) -> None:
    assert INDEX.find(name, near=near) == found


def test_an_annotation_file_goes_with_the_image_of_its_name() -> None:
    assert INDEX.of_stem("valid/labels/a.txt") == "valid/images/a.jpg"
    assert INDEX.of_stem("labels/c.d.txt") == "c.d.jpeg"
    assert INDEX.paths == ["train/images/a.jpg", "valid/images/a.jpg", "train/images/b.PNG", "c.d.jpeg"]


def test_hidden_files_and_what_macos_leaves_are_not_walked(tmp_path: Path) -> None:
    for name in ("b/a.jpg", "b/._a.jpg", ".git/x.jpg", "__MACOSX/a.jpg", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(walk(tmp_path)) == ["a.txt", "b/a.jpg"]


def test_a_link_to_a_folder_is_followed_but_not_in_circles(tmp_path: Path) -> None:
    for name in ("set/a.jpg", "other/b.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "other")
    (tmp_path / "set" / "circle").symlink_to(tmp_path / "set")
    assert list(walk(tmp_path / "set")) == ["a.jpg", "linked/b.jpg"]
