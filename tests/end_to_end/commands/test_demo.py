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

from centernet.geometry.boxes import iou_matrix
from centernet.imaging.io import read_image, write_image
from centernet.imaging.video import VideoWriter, read_frames

Command = Callable[..., Any]
CLASSES = ("disk", "ring", "square", "triangle", "cross")


def load(path: Path) -> Any:
    import centernet

    return centernet.load(path, precision="float32")


def run(centernet: Command, tiny: Any, source: Path, output: Path, *words: object) -> Any:
    return centernet("demo", "ctdet", "--checkpoint", tiny.lively, "--demo", source, "--save_dir", output, "--precision", "float32", *words)


JSON = {"detections.jsonl", "detections.json"}


def names(folder: Path) -> set[str]:
    """All files but the JSON, which is always there."""
    found = {path.name for path in folder.iterdir()}
    assert found >= JSON
    return found - JSON


def lines(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]


def results(folder: Path) -> Any:
    return json.loads((folder / "detections.json").read_text())


def test_an_image_becomes_a_picture_and_json_that_hold_its_detections(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    ended = run(centernet, tiny, tiny.images[0], tmp_path / "out")
    assert names(tmp_path / "out") == {"000001.jpg"}
    (written,) = lines(tmp_path / "out")
    assert (written["image"], written["width"], written["height"]) == (str(tiny.images[0]), 64, 64)

    expected = [found for found in load(tiny.lively).predict(tiny.images[0]) if found.score >= 0.2]
    assert len(written["detections"]) == len(expected) > 3
    for found, detection in zip(written["detections"], expected, strict=True):
        assert (found["class_id"], found["class_name"]) == (detection.class_id, detection.class_name)
        assert found["score"] == pytest.approx(detection.score, abs=1e-6)
        np.testing.assert_allclose(found["box"], detection.box, atol=1e-3)

    for result, detection in zip(results(tmp_path / "out"), expected, strict=True):
        x1, y1, x2, y2 = detection.box
        assert (result["image_id"], result["category_id"]) == (written["image_id"], detection.class_id + 1) == (1, detection.class_id + 1)
        assert (set(result), result["score"]) == ({"image_id", "category_id", "bbox", "score"}, pytest.approx(detection.score, abs=1e-6))
        np.testing.assert_allclose(result["bbox"], [x1, y1, x2 - x1, y2 - y1], atol=1e-3)

    drawn, original = read_image(tmp_path / "out" / "000001.jpg"), read_image(tiny.images[0])
    assert drawn.shape == original.shape
    assert np.abs(drawn.astype(int) - original).max() > 50, "nothing was drawn"
    timing = next(line for line in ended.out.splitlines() if line.startswith(str(tiny.images[0])))
    assert f"{len(expected)} objects" in timing
    for stage in ("tot", "load", "pre", "net", "dec", "post", "merge"):
        assert f"{stage} " in timing
    assert f"1 images, {len(expected)} objects" in ended.out


@pytest.mark.parametrize("debug", [0, 1, 2, 3])
def test_debug_says_how_much_is_drawn(tiny: Any, centernet: Command, tmp_path: Path, debug: int) -> None:
    run(centernet, tiny, tiny.images[0], tmp_path / "out", "--debug", debug, "--debugger_theme", "black", "--vis_thresh", "disk=1")
    expected = set()
    if debug >= 1:
        expected.add("000001.jpg")
    if debug >= 2:
        expected |= {f"000001_{name}.jpg" for name in ("input", "heatmap", "size", "offset")}
    drawn = names(tmp_path / "out")
    of_classes = {f"000001_heatmap_{name}.jpg" for name in CLASSES}
    assert drawn - of_classes == expected
    assert drawn & of_classes == {0: set(), 1: set()}.get(debug, of_classes)
    for name in sorted(drawn - {"000001.jpg"}):
        height, width = read_image(tmp_path / "out" / name).shape[:2]
        if "size" in name or "offset" in name:
            assert height > 256, "a scale and captions"
            assert width > 2 * 256, "two maps side by side"
        else:
            assert (height, width) == (256, 256), "enlarged to be legible"


def test_heatmaps_of_the_chosen_classes_only(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    run(centernet, tiny, tiny.images[0], tmp_path / "out", "--debug", 3, "--classes", "ring,cross")
    assert {name for name in names(tmp_path / "out") if "heatmap_" in name} == {"000001_heatmap_ring.jpg", "000001_heatmap_cross.jpg"}


def test_chosen_classes_and_scores_by_class(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    everything = load(tiny.lively).predict(tiny.images[0])
    best = {name: max(d.score for d in everything if d.class_name == name) for name in CLASSES}
    cut = best["ring"] - 1e-4
    run(centernet, tiny, tiny.images[0], tmp_path / "out", "--classes", "ring,cross", "--vis_thresh", f"0.1,ring={cut}")
    found = lines(tmp_path / "out")[0]["detections"]
    assert {d["class_name"] for d in found} == {"ring", "cross"}
    assert [d["score"] for d in found if d["class_name"] == "ring"] == pytest.approx([best["ring"]])
    assert sum(d["class_name"] == "cross" for d in found) == sum(d.class_name == "cross" and d.score >= 0.1 for d in everything)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--classes", "rnig"), "--classes: the model has no class 'rnig'; did you mean 'ring'?"),
        (("--vis_thresh", "0.3,dsik=0.5"), "--vis_thresh: the model has no class 'dsik'; did you mean 'disk'?"),
        (("--vis_thresh", "ring=1.5"), "--vis_thresh ring=1.5: scores are between 0 and 1"),
        (
            ("--vis_thresh", "ring=much"),
            "--vis_thresh: expected a score, or one for each class, each class once: 0.3,person=0.5, found 'ring=much'",
        ),
        (("--vis_thresh", "0.2,0.3"), "expected a score, or one for each class, each class once: 0.3,person=0.5, found '0.2,0.3'"),
        (("--overlap", "8"), "--overlap is that of tiles: give --tile N too"),
        (("--tile", "32", "--overlap", "32"), "--overlap 32: tiles of 32 pixels must overlap by less"),
        (("--tile", "0"), "--tile: expected a whole number above 0, found '0'"),
        (("--track",), "--track follows objects through a video"),
    ],
)
def test_options_that_cannot_be_are_refused(tiny: Any, centernet: Command, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    command = ("demo", "--checkpoint", tiny.lively, "--demo", tiny.images[0], "-o", tmp_path / "out", *words)
    assert said in centernet(*command, code=2).err
    assert not (tmp_path / "out").exists()


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
    assert names(tmp_path / "out") == {"street.jpg.jpg", "street.png.jpg", "field.jpg"}
    assert "3 images" in ended.out
    assert [Path(line["image"]).name for line in lines(tmp_path / "out")] == ["field.JPG", "street.jpg", "street.png"]
    assert [line["image_id"] for line in lines(tmp_path / "out")] == [1, 2, 3]
    assert {result["image_id"] for result in results(tmp_path / "out")} == {1, 2, 3}


def test_a_pattern_takes_the_images_of_many_folders(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    for folder, image in zip(("a", "b/c"), tiny.images, strict=False):
        (tmp_path / "shots" / folder).mkdir(parents=True)
        shutil.copy(image, tmp_path / "shots" / folder / "x.jpg")
    (tmp_path / "shots" / "x.txt").write_text("no picture")
    run(centernet, tiny, tmp_path / "shots" / "**" / "x.*", tmp_path / "out", "--debug", 1)
    assert names(tmp_path / "out") == {"a_x.jpg", "c_x.jpg"}
    assert len(lines(tmp_path / "out")) == 2
    ended = centernet("demo", "--checkpoint", tiny.lively, "--demo", tmp_path / "*.jpg", code=2)
    assert f"{tmp_path}/*.jpg: no image or video matches the pattern" in ended.err
    words = ("demo", "--checkpoint", tiny.lively, "--demo", tiny.images[0], tiny.images[1])  # as a shell leaves an unquoted pattern
    assert "put a pattern in quotes: --demo 'folder/*.jpg'" in centernet(*words, code=2).err


def test_the_images_coco_results_belong_to_are_known_by_their_numbers(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    run(centernet, tiny, tiny.images[0].parent, tmp_path / "out", "--debug", 0)
    assert [line["image_id"] for line in lines(tmp_path / "out")] == [int(path.stem) for path in tiny.images]


def test_several_images_at_a_time_give_what_one_at_a_time_gives(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    for performance in ("latency", "throughput"):
        run(centernet, tiny, tiny.images[0].parent, tmp_path / performance, "--performance", performance)
    one, many = (lines(tmp_path / performance) for performance in ("latency", "throughput"))
    assert [line["image"] for line in one] == [line["image"] for line in many] == [str(path) for path in tiny.images]
    for a, b in zip(one, many, strict=True):
        assert [d["class_id"] for d in a["detections"]] == [d["class_id"] for d in b["detections"]]
        np.testing.assert_allclose([d["box"] for d in a["detections"]], [d["box"] for d in b["detections"]], atol=1e-3)


@pytest.mark.parametrize("performance", ["latency", "throughput"])
def test_a_batch_of_images_gives_what_one_at_a_time_gives(tiny: Any, centernet: Command, tmp_path: Path, performance: str) -> None:
    """Of ten pictures, one damaged, in batches of four; the same boxes, names and order."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(9):
        write_image(folder / f"{number}.png", np.random.default_rng(number).integers(0, 256, (40 + number, 60, 3), np.uint8))
    (folder / "4b.png").write_bytes(b"no picture")
    for name, more in (("one", ()), ("batch", ("--batch_size", "4"))):
        run(centernet, tiny, folder, tmp_path / name, "--debug", "0", "--vis_thresh", "0", "--performance", performance, *more)
    one, batch = lines(tmp_path / "one"), lines(tmp_path / "batch")
    assert [line["image"] for line in batch] == [line["image"] for line in one]
    assert len(batch) == 9
    for a, b in zip(one, batch, strict=True):
        assert [d["class_id"] for d in a["detections"]] == [d["class_id"] for d in b["detections"]]
        np.testing.assert_allclose([d["box"] for d in a["detections"]], [d["box"] for d in b["detections"]], atol=1e-3)


def test_an_image_is_not_overwritten_by_its_own_result(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    shutil.copy(tiny.images[0], tmp_path / "a.jpg")
    before = (tmp_path / "a.jpg").read_bytes()
    ended = centernet("demo", "--checkpoint", tiny.lively, "--demo", tmp_path / "a.jpg", "-o", tmp_path, code=2)
    assert "would be overwritten by its own result; give another folder with --output" in ended.err
    assert (tmp_path / "a.jpg").read_bytes() == before
    assert results(tmp_path) != [], "what was found until then"


def test_a_large_image_is_looked_at_in_tiles(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    """Four pictures side by side, one a tile: what is found far from the seams is what each picture alone holds."""
    pictures = [read_image(path) for path in tiny.images[:4]]
    write_image(tmp_path / "wide.png", np.concatenate(pictures, axis=1))
    run(centernet, tiny, tmp_path / "wide.png", tmp_path / "out", "--tile", 64, "--overlap", 0, "--vis_thresh", 0.3)
    (line,) = lines(tmp_path / "out")
    assert (line["width"], line["height"]) == (256, 64)
    found = np.array([[*d["box"], d["class_id"]] for d in line["detections"]])
    alone = load(tiny.lively)
    for number, picture in enumerate(pictures):
        inside = [d for d in alone.predict(picture) if d.score >= 0.3 and d.box[0] > 8 and d.box[2] < 56]
        for detection in inside:
            shifted = np.array([*detection.box, detection.class_id]) + np.array([1, 0, 1, 0, 0]) * 64 * number
            assert np.abs(found - shifted).max(axis=1).min() < 1e-2
    run(centernet, tiny, tiny.images[0], tmp_path / "small", "--tile", 64, "--vis_thresh", 0.3)
    assert [d["box"] for d in lines(tmp_path / "small")[0]["detections"]] == [
        list(d.box) for d in alone.predict(tiny.images[0]) if d.score >= 0.3
    ]


def test_tiles_looked_at_twice_and_at_several_scales_hold_nothing_twice(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    write_image(tmp_path / "wide.png", np.concatenate([read_image(path) for path in tiny.images[:3]], axis=1))
    words = ("--tile", 64, "--overlap", 16, "--flip_test", "--test_scales", "0.75,1,1.25", "--vis_thresh", 0.1)
    run(centernet, tiny, tmp_path / "wide.png", tmp_path / "out", *words)
    found = lines(tmp_path / "out")[0]["detections"]
    boxes, class_ids = np.array([d["box"] for d in found]), np.array([d["class_id"] for d in found])
    alike = np.triu(iou_matrix(boxes, boxes) >= 0.5, 1) & (class_ids[:, None] == class_ids)
    assert len(found) > 10
    assert not alike.any(), boxes[alike.any(axis=0)]


@pytest.fixture
def film(tiny: Any, tmp_path: Path) -> Path:
    """Four pictures at twelve a second."""
    with VideoWriter(tmp_path / "film.mp4", 12) as writer:
        for path in tiny.images[:4]:
            writer.write(read_image(path))
    return tmp_path / "film.mp4"


def test_a_video_becomes_a_video_of_the_same_frames(tiny: Any, centernet: Command, tmp_path: Path, film: Path) -> None:
    ended = run(centernet, tiny, film, tmp_path / "out")
    assert names(tmp_path / "out") == {"film.mp4"}
    drawn = read_frames(tmp_path / "out" / "film.mp4")
    assert drawn.rate == pytest.approx(12)
    assert [frame.shape for frame in drawn] == [(64, 64, 3)] * 4
    records = lines(tmp_path / "out")
    assert [(record["video"], record["frame"]) for record in records] == [(str(film), number) for number in range(4)]
    assert [record["seconds"] for record in records] == pytest.approx([0, 1 / 12, 2 / 12, 3 / 12], abs=1e-3)
    assert all(record["detections"] and "track_id" not in record["detections"][0] for record in records)
    assert [record["image_id"] for record in records] == sorted({result["image_id"] for result in results(tmp_path / "out")})
    assert "4 images" in ended.out


def test_a_video_without_pictures_is_json_only(tiny: Any, centernet: Command, tmp_path: Path, film: Path) -> None:
    run(centernet, tiny, film, tmp_path / "out", "--debug", 0)
    assert names(tmp_path / "out") == set()
    assert len(lines(tmp_path / "out")) == 4


def test_a_pattern_takes_videos_too(tiny: Any, centernet: Command, tmp_path: Path, film: Path) -> None:
    shutil.copy(tiny.images[0], film.parent / "film.png")
    run(centernet, tiny, film.parent / "film.*", tmp_path / "out")
    assert names(tmp_path / "out") == {"film.jpg", "film.mp4"}
    assert [line["image_id"] for line in lines(tmp_path / "out")] == [1, 2, 3, 4, 5]


def test_a_video_is_not_overwritten_by_its_own_result(tiny: Any, centernet: Command, film: Path) -> None:
    before = film.read_bytes()
    ended = centernet("demo", "--checkpoint", tiny.lively, "--demo", film, "-o", film.parent, code=2)
    assert "would be overwritten" in ended.err
    assert film.read_bytes() == before


def test_objects_of_a_video_get_numbers(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    pytest.importorskip("norfair")
    with VideoWriter(tmp_path / "still.mp4", 10) as writer:
        for _ in range(4):
            writer.write(read_image(tiny.images[0]))
    run(centernet, tiny, tmp_path / "still.mp4", tmp_path / "out", "--track", "--vis_thresh", 0.4)
    first, *others = ([d["track_id"] for d in line["detections"]] for line in lines(tmp_path / "out"))
    assert set(first) == {None}
    for ids in others:
        numbers = [number for number in ids if number]
        assert numbers
        assert len(set(numbers)) == len(numbers)


class FakeCamera:
    """As much of `cv2.VideoCapture` as is used of a camera; the user presses Ctrl-C at the fourth frame."""

    def __init__(self, number: int) -> None:
        assert number == 2
        self._frames = 0

    def isOpened(self) -> bool:
        return True

    def get(self, _: int) -> float:
        return 0.0  # as drivers do that do not know their rate

    def set(self, *_: object) -> bool:
        return True

    def read(self) -> tuple[bool, Any]:
        self._frames += 1
        if self._frames == 4:
            raise KeyboardInterrupt
        return True, np.full((48, 64, 3), 80, np.uint8)

    def release(self) -> None:
        pass


def test_a_camera_runs_until_it_is_stopped(tiny: Any, centernet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centernet.imaging.video.cv2.VideoCapture", FakeCamera)
    ended = run(centernet, tiny, Path("webcam:2"), tmp_path / "out")
    monkeypatch.undo()
    assert "stopped" in ended.out
    assert "3 images" in ended.out
    records = lines(tmp_path / "out")
    assert [(record["video"], record["frame"]) for record in records] == [("webcam2", 0), ("webcam2", 1), ("webcam2", 2)]
    seconds = [record["seconds"] for record in records]
    assert seconds == sorted(seconds)
    drawn = read_frames(tmp_path / "out" / "webcam2.mp4")
    assert drawn.rate == 25
    assert drawn.num_frames == 1 + round(25 * seconds[-1])


def test_without_a_camera_nothing_is_made(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    ended = centernet("demo", "--checkpoint", tiny.lively, "--demo", "webcam:97", "-o", tmp_path / "out", code=2)
    assert "webcam:97: no such camera" in ended.err
    assert not (tmp_path / "out").exists()


def test_what_was_found_before_an_interruption_is_complete_json(
    tiny: Any, centernet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from centernet.experiment import demo

    def interrupted(path: Path) -> Any:
        if path == tiny.images[2]:
            raise KeyboardInterrupt
        return read_image(path)

    monkeypatch.setattr(demo, "read_image", interrupted)
    centernet("demo", "--checkpoint", tiny.lively, "--demo", tiny.images[0].parent, "-o", tmp_path / "out", code=130)
    assert len(lines(tmp_path / "out")) == 2
    assert {result["image_id"] for result in results(tmp_path / "out")} == {line["image_id"] for line in lines(tmp_path / "out")}


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
    (written,) = lines(tmp_path / "out")
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
    assert names(tmp_path / "out") == {"good.jpg"}
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
