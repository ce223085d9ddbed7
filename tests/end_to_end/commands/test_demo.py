"""`demo`: any picture or film a user has, to pictures and JSON; and the same detections from the Python API."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from centernet.imaging.io import read_image
from centernet.imaging.video import VideoWriter, read_frames

Command = Callable[..., Any]
CLASSES = ("disk", "ring", "square", "triangle", "cross")


def load(path: Path) -> Any:
    import centernet

    return centernet.load(path, precision="float32")


def run(centernet: Command, tiny: Any, source: Path, output: Path, *words: object) -> Any:
    return centernet("demo", "ctdet", "--checkpoint", tiny.lively, "--demo", source, "--save_dir", output, "--precision", "float32", *words)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_image_becomes_a_picture_and_json_that_hold_its_detections(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    ended = run(centernet, tiny, tiny.images[0], tmp_path / "out")
    assert names(tmp_path / "out") == {"000001.jpg", "000001.json"}
    written = json.loads((tmp_path / "out" / "000001.json").read_text())
    assert (written["image"], written["width"], written["height"]) == (str(tiny.images[0]), 64, 64)

    expected = [found for found in load(tiny.lively).predict(tiny.images[0]) if found.score >= 0.2]
    assert len(written["detections"]) == len(expected) > 3
    for found, detection in zip(written["detections"], expected, strict=True):
        assert (found["class_id"], found["class_name"]) == (detection.class_id, detection.class_name)
        assert found["score"] == pytest.approx(detection.score, abs=1e-6)
        np.testing.assert_allclose(found["box"], detection.box, atol=1e-3)

    drawn, original = read_image(tmp_path / "out" / "000001.jpg"), read_image(tiny.images[0])
    assert drawn.shape == original.shape
    assert np.abs(drawn.astype(int) - original).max() > 50, "nothing was drawn"
    timing = next(line for line in ended.out.splitlines() if line.startswith(str(tiny.images[0])))
    assert f"{len(expected)} objects" in timing
    for stage in ("tot", "load", "pre", "net", "dec", "post", "merge"):
        assert f"{stage} " in timing
    assert f"1 images, {len(expected)} objects" in ended.out


@pytest.mark.parametrize("debug", [0, 1, 2])
def test_debug_says_how_much_is_drawn(tiny: Any, centernet: Command, tmp_path: Path, debug: int) -> None:
    run(centernet, tiny, tiny.images[0], tmp_path / "out", "--debug", debug, "--debugger_theme", "black")
    expected = {"000001.json"}
    if debug >= 1:
        expected.add("000001.jpg")
    if debug >= 2:
        expected |= {"000001_input.jpg", *(f"000001_heatmap_{name}.jpg" for name in CLASSES)}
    assert names(tmp_path / "out") == expected
    for path in (tmp_path / "out").glob("*_*.jpg"):
        assert read_image(path).shape == (256, 256, 3), "enlarged to be legible"


def test_a_threshold_no_score_can_have_is_refused(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    words = ("demo", "--checkpoint", tiny.lively, "--demo", tiny.images[0], "--save_dir", tmp_path / "out")
    assert "--vis_thresh 3.0: scores are between 0 and 1" in centernet(*words, "--vis_thresh", "3", code=2).err


def test_files_of_one_stem_do_not_overwrite_each_other(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copy(tiny.images[0], folder / "street.jpg")
    Image.open(tiny.images[1]).save(folder / "street.png")
    shutil.copy(tiny.images[2], folder / "field.JPG")
    (folder / "notes.txt").write_text("no picture")
    ended = run(centernet, tiny, folder, tmp_path / "out")
    assert names(tmp_path / "out") == {
        "street.jpg.jpg", "street.jpg.json", "street.png.jpg", "street.png.json", "field.jpg", "field.json",
    }  # fmt: skip
    assert "3 images" in ended.out


def test_a_video_becomes_a_video_of_the_same_frames(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    frames = [read_image(path) for path in tiny.images[:4]]
    with VideoWriter(tmp_path / "film.mp4", 12) as writer:
        for frame in frames:
            writer.write(frame)
    ended = run(centernet, tiny, tmp_path / "film.mp4", tmp_path / "out")
    assert names(tmp_path / "out") == {"film.mp4", "film.json"}
    drawn = read_frames(tmp_path / "out" / "film.mp4")
    assert drawn.rate == pytest.approx(12)
    assert [frame.shape for frame in drawn] == [(64, 64, 3)] * 4
    written = json.loads((tmp_path / "out" / "film.json").read_text())
    assert [record["frame"] for record in written["frames"]] == [0, 1, 2, 3]
    assert [record["seconds"] for record in written["frames"]] == pytest.approx([0, 1 / 12, 2 / 12, 3 / 12])
    assert all(record["detections"] for record in written["frames"])
    assert "4 images" in ended.out


def test_a_video_without_pictures_is_json_only(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "film.mp4", 5) as writer:
        writer.write(read_image(tiny.images[0]))
    run(centernet, tiny, tmp_path / "film.mp4", tmp_path / "out", "--debug", 0)
    assert names(tmp_path / "out") == {"film.json"}


def test_the_script_needs_no_display_and_no_words_about_the_network(tiny: Any, script: Command, tmp_path: Path) -> None:
    ended = script("demo.py", "ctdet", "--checkpoint", tiny.lively, "--demo", tiny.images[0], "--gpus", "0", "--debug", 2, "-o", "here")
    assert (tmp_path / "here" / "000001_input.jpg").is_file()
    assert "1 images" in ended.out


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
def test_pictures_of_every_kind_are_taken(tiny: Any, centernet: Command, tmp_path: Path, kind: str) -> None:
    run(centernet, tiny, picture(kind, tmp_path), tmp_path / "out")
    written = json.loads((tmp_path / "out" / "a.json").read_text())
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


def test_a_file_of_a_folder_that_is_no_picture_is_named_and_left_out(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(tiny.images[0], folder / "good.jpg")
    (folder / "bad.jpg").write_bytes(tiny.images[0].read_bytes()[:300])
    ended = run(centernet, tiny, folder, tmp_path / "out")
    assert names(tmp_path / "out") == {"good.jpg", "good.json"}
    assert "bad.jpg" in ended.err
    assert "1 images, 1 unreadable" in ended.out


def test_the_python_api_takes_whatever_holds_an_image(tiny: Any, tmp_path: Path) -> None:
    """A path, a folder, a list, an array and a PIL image give the same detections."""
    detector = load(tiny.lively)
    png = tmp_path / "a.png"  # lossless, so that decoders agree
    Image.open(tiny.images[0]).save(png)
    expected = detector.predict(png)
    assert expected.class_names == CLASSES
    with Image.open(png) as opened:
        for source in (str(png), read_image(png), opened):
            assert_same(detector.predict(source), expected)
    for sources in (tmp_path, [png], [read_image(png)]):
        (found,) = detector.predict(sources)
        assert_same(found, expected)
    assert detector.predict([]) == []


def assert_same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"runtime": "x"}, "load: runtime: found 'x'"),
        ({"precision": "half"}, "load: precision: found 'half'"),
        ({"batch_size": 0}, "load: batch_size: found 0"),
        ({"scales": ()}, "load: scales"),
        ({"k": 0}, "load: k: found 0"),
        ({"colour": 1}, "load: unknown setting 'colour'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_when_loading(tiny: Any, settings: dict[str, object], said: str) -> None:
    import centernet
    from centernet.errors import ConfigError

    with pytest.raises(ConfigError, match=said):
        centernet.load(tiny.lively, **settings)


def test_images_at_several_scales_are_merged(tiny: Any) -> None:
    import centernet

    assert len(centernet.load(tiny.lively, scales=(0.5, 1.0), k=5, batch_size=2).predict(tiny.images[0])) == 10
