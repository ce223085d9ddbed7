"""`demo`: whatever image files a user has, and what is written about each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from centernet.imaging.io import read_image

Command = Callable[..., Any]


def test_files_of_one_stem_do_not_overwrite_each_other(tiny: Any, demo: Any, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copy(tiny.images[0], folder / "street.jpg")
    Image.open(tiny.images[1]).save(folder / "street.png")
    shutil.copy(tiny.images[2], folder / "field.JPG")
    (folder / "notes.txt").write_text("no picture")
    ended = demo(folder, tmp_path / "out")
    assert demo.names(tmp_path / "out") == {"street.jpg.jpg", "street.png.jpg", "field.jpg"}
    assert "3 images" in ended.out
    assert [Path(line["image"]).name for line in demo.lines(tmp_path / "out")] == ["field.JPG", "street.jpg", "street.png"]
    assert [line["image_id"] for line in demo.lines(tmp_path / "out")] == [1, 2, 3]
    assert {result["image_id"] for result in demo.results(tmp_path / "out")} == {1, 2, 3}


def test_a_pattern_takes_the_images_of_many_folders(tiny: Any, demo: Any, centernet: Command, tmp_path: Path) -> None:
    for folder, image in zip(("a", "b/c"), tiny.images, strict=False):
        (tmp_path / "shots" / folder).mkdir(parents=True)
        shutil.copy(image, tmp_path / "shots" / folder / "x.jpg")
    (tmp_path / "shots" / "x.txt").write_text("no picture")
    demo(tmp_path / "shots" / "**" / "x.*", tmp_path / "out", "--debug", 1)
    assert demo.names(tmp_path / "out") == {"a_x.jpg", "c_x.jpg"}
    assert len(demo.lines(tmp_path / "out")) == 2
    ended = centernet("demo", "--checkpoint", tiny.lively, "--demo", tmp_path / "*.jpg", code=2)
    assert f"{tmp_path}/*.jpg: no image or video matches the pattern" in ended.err
    words = ("demo", "--checkpoint", tiny.lively, "--demo", tiny.images[0], tiny.images[1])  # as a shell leaves an unquoted pattern
    assert "put a pattern in quotes: --demo 'folder/*.jpg'" in centernet(*words, code=2).err


def test_the_images_coco_results_belong_to_are_known_by_their_numbers(tiny: Any, demo: Any, tmp_path: Path) -> None:
    demo(tiny.images[0].parent, tmp_path / "out", "--debug", 0)
    assert [line["image_id"] for line in demo.lines(tmp_path / "out")] == [int(path.stem) for path in tiny.images]


def test_an_image_is_not_overwritten_by_its_own_result(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    shutil.copy(tiny.images[0], tmp_path / "a.jpg")
    before = (tmp_path / "a.jpg").read_bytes()
    ended = centernet("demo", "--checkpoint", tiny.lively, "--demo", tmp_path / "a.jpg", "-o", tmp_path, code=2)
    assert "would be overwritten by its own result; give another folder with --output" in ended.err
    assert (tmp_path / "a.jpg").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"], "nothing is left behind"


def test_what_was_found_before_an_interruption_is_complete_json(
    tiny: Any, demo: Any, centernet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from centernet.experiment import demo as running

    def interrupted(path: Path) -> Any:
        if path == tiny.images[2]:
            raise KeyboardInterrupt
        return read_image(path)

    monkeypatch.setattr(running, "read_image", interrupted)
    centernet("demo", "--checkpoint", tiny.lively, "--demo", tiny.images[0].parent, "-o", tmp_path / "out", code=130)
    assert len(demo.lines(tmp_path / "out")) == 2
    assert {result["image_id"] for result in demo.results(tmp_path / "out")} == {line["image_id"] for line in demo.lines(tmp_path / "out")}


@pytest.mark.parametrize(
    ("source", "words", "said"),
    [("0.jpg", ("--test_scales", 1000), "too large"), (".", ("--test_scales", 1000), "too large"), (".", (), "would be overwritten")],
    ids=["an image too large", "a folder too large", "its own folder"],
)
def test_a_run_that_fails_leaves_the_results_of_the_one_before(
    demo: Any, tiny: Any, centernet: Command, tmp_path: Path, source: str, words: tuple[Any, ...], said: str
) -> None:
    """An option that no image fits is the user's mistake, not an image that cannot be read."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(2):
        shutil.copy(tiny.images[number], pictures / f"{number}.jpg")
    out = tmp_path / "out" if words else pictures
    if words:
        demo(pictures, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    ended = centernet("demo", "--checkpoint", tiny.lively, "--demo", pictures / source, "-o", out, *words, code=2)
    assert ("at most 32766 pixels" if said == "too large" else said) in ended.err
    assert "skipped" not in ended.err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def picture(kind: str, folder: Path) -> Path:
    """A picture of 40x24 (width x height) as a user may have it."""
    rng = np.random.default_rng(3)
    rgb = np.kron(rng.integers(0, 256, (6, 10, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    path = folder / {"16 bit": "a.png", "alpha": "a.png", "upper case": "a.JPG"}.get(kind, "a.jpg")
    image = Image.fromarray(rgb)
    if kind == "grey":
        image.convert("L").save(path)
    elif kind == "16 bit":
        Image.fromarray(rgb[:, :, 0].astype(np.uint16) * 257).save(path)
    elif kind == "alpha":
        image.convert("RGBA").save(path)
    elif kind == "CMYK":
        image.convert("CMYK").save(path)
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees
        image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    else:
        image.save(path)
    return path


@pytest.mark.parametrize("kind", ["grey", "16 bit", "alpha", "CMYK", "turned", "upper case"])
def test_pictures_of_every_kind_are_taken(demo: Any, tmp_path: Path, kind: str) -> None:
    demo(picture(kind, tmp_path), tmp_path / "out")
    (written,) = demo.lines(tmp_path / "out")
    assert (written["width"], written["height"]) == (40, 24)
    assert written["detections"]
    assert read_image(tmp_path / "out" / "a.jpg").shape == (24, 40, 3)


def test_a_file_that_is_no_picture_is_named(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    words = ("demo", "--checkpoint", tiny.lively, "--demo")
    assert "bad.jpg" in centernet(*words, tmp_path / "bad.jpg", code=2).err
    assert "nowhere" in centernet(*words, tmp_path / "nowhere", code=2).err
    (tmp_path / "empty").mkdir()
    assert "empty" in centernet(*words, tmp_path / "empty", code=2).err


def test_a_file_of_a_folder_that_is_no_picture_is_named_and_left_out(tiny: Any, demo: Any, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(tiny.images[0], folder / "good.jpg")
    (folder / "bad.jpg").write_bytes(tiny.images[0].read_bytes()[:300])
    ended = demo(folder, tmp_path / "out")
    assert demo.names(tmp_path / "out") == {"good.jpg"}
    assert "bad.jpg" in ended.err
    assert "1 images, 1 unreadable" in ended.out


def test_a_source_of_which_nothing_can_be_read_leaves_nothing(centernet: Command, tiny: Any, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(b"no picture")
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    for source, said in (
        (folder / "a.jpg", "a.jpg: not an image that can be decoded"),
        (folder, "none of 2 files can be read; the first is"),
        (tmp_path / "bad.mp4", "bad.mp4: no frame can be decoded"),
    ):
        ended = centernet("demo", "--checkpoint", tiny.lively, "--demo", source, "-o", tmp_path / "new" / "out", code=2)
        assert said in ended.err
        assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_used_is_said(centernet: Command, tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = centernet("demo", "--checkpoint", tiny.lively, "--demo", tiny.images[0], "-o", tmp_path / "file", code=2)
    assert f"{tmp_path}/file: is a file, expected the output folder" in ended.err
