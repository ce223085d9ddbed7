"""The size of an image from the ends of its file, equal to what reading it gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.errors import DataError
from centernet.imaging.glance import glance
from centernet.imaging.io import write_image


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
def test_the_size_is_that_of_the_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    assert glance(path).size == (300, 400)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "the file is empty"), (b"hello", "not an image"), (b"\xff\xd8\xff\xe0\x00\x10JFIF", "the file is cut off")],
)
def test_what_is_no_whole_image_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"a.jpg: {said}"):
        glance(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_file_that_is_cut_off_is_noticed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match="cut off"):
        glance(path)


def test_a_file_that_goes_on_after_its_end_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    write_image(path, np.zeros((30, 40, 3), np.uint8))
    path.write_bytes(path.read_bytes() + b"a video")
    assert glance(path).size == (30, 40)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such image file"):
        glance(tmp_path / "a.jpg")
