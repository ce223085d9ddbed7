"""`demo`: what is drawn and written of an image, and how images are looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.geometry.boxes import iou_matrix
from centernet.imaging.io import read_image, write_image

Command = Callable[..., Any]
CLASSES = ("disk", "ring", "square", "triangle", "cross")


def test_an_image_becomes_a_picture_and_json_that_hold_its_detections(tiny: Any, demo: Any, tmp_path: Path) -> None:
    ended = demo(tiny.images[0], tmp_path / "out")
    assert demo.names(tmp_path / "out") == {"000001.jpg"}
    (written,) = demo.lines(tmp_path / "out")
    assert (written["image"], written["width"], written["height"]) == (str(tiny.images[0]), 64, 64)

    expected = [found for found in demo.load(tiny.lively).predict(tiny.images[0]) if found.score >= 0.2]
    assert len(written["detections"]) == len(expected) > 3
    for found, detection in zip(written["detections"], expected, strict=True):
        assert (found["class_id"], found["class_name"]) == (detection.class_id, detection.class_name)
        assert found["score"] == pytest.approx(detection.score, abs=1e-6)
        np.testing.assert_allclose(found["box"], detection.box, atol=1e-3)

    for result, detection in zip(demo.results(tmp_path / "out"), expected, strict=True):
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
def test_debug_says_how_much_is_drawn(tiny: Any, demo: Any, tmp_path: Path, debug: int) -> None:
    demo(tiny.images[0], tmp_path / "out", "--debug", debug, "--debugger_theme", "black", "--vis_thresh", "disk=1")
    expected = set()
    if debug >= 1:
        expected.add("000001.jpg")
    if debug >= 2:
        expected |= {f"000001_{name}.jpg" for name in ("input", "heatmap", "size", "offset")}
    drawn = demo.names(tmp_path / "out")
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


def test_heatmaps_of_the_chosen_classes_only(tiny: Any, demo: Any, tmp_path: Path) -> None:
    demo(tiny.images[0], tmp_path / "out", "--debug", 3, "--classes", "ring,cross")
    assert {name for name in demo.names(tmp_path / "out") if "heatmap_" in name} == {"000001_heatmap_ring.jpg", "000001_heatmap_cross.jpg"}


def test_chosen_classes_and_scores_by_class(tiny: Any, demo: Any, tmp_path: Path) -> None:
    everything = demo.load(tiny.lively).predict(tiny.images[0])
    best = {name: max(d.score for d in everything if d.class_name == name) for name in CLASSES}
    cut = best["ring"] - 1e-4
    demo(tiny.images[0], tmp_path / "out", "--classes", "ring,cross", "--vis_thresh", f"0.1,ring={cut}")
    found = demo.lines(tmp_path / "out")[0]["detections"]
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


def test_several_images_at_a_time_give_what_one_at_a_time_gives(tiny: Any, demo: Any, tmp_path: Path) -> None:
    for performance in ("latency", "throughput"):
        demo(tiny.images[0].parent, tmp_path / performance, "--performance", performance)
    one, many = (demo.lines(tmp_path / performance) for performance in ("latency", "throughput"))
    assert [line["image"] for line in one] == [line["image"] for line in many] == [str(path) for path in tiny.images]
    for a, b in zip(one, many, strict=True):
        assert [d["class_id"] for d in a["detections"]] == [d["class_id"] for d in b["detections"]]
        np.testing.assert_allclose([d["box"] for d in a["detections"]], [d["box"] for d in b["detections"]], atol=1e-3)


@pytest.mark.parametrize("performance", ["latency", "throughput"])
def test_a_batch_of_images_gives_what_one_at_a_time_gives(demo: Any, tmp_path: Path, performance: str) -> None:
    """Of ten pictures, one damaged, in batches of four; the same boxes, names and order."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(9):
        write_image(folder / f"{number}.png", np.random.default_rng(number).integers(0, 256, (40 + number, 60, 3), np.uint8))
    (folder / "4b.png").write_bytes(b"no picture")
    for name, more in (("one", ()), ("batch", ("--batch_size", "4"))):
        demo(folder, tmp_path / name, "--debug", "0", "--vis_thresh", "0", "--performance", performance, *more)
    one, batch = demo.lines(tmp_path / "one"), demo.lines(tmp_path / "batch")
    assert [line["image"] for line in batch] == [line["image"] for line in one]
    assert len(batch) == 9
    for a, b in zip(one, batch, strict=True):
        assert [d["class_id"] for d in a["detections"]] == [d["class_id"] for d in b["detections"]]
        np.testing.assert_allclose([d["box"] for d in a["detections"]], [d["box"] for d in b["detections"]], atol=1e-3)


def test_a_large_image_is_looked_at_in_tiles(tiny: Any, demo: Any, tmp_path: Path) -> None:
    """Four pictures side by side, one a tile: what is found far from the seams is what each picture alone holds."""
    pictures = [read_image(path) for path in tiny.images[:4]]
    write_image(tmp_path / "wide.png", np.concatenate(pictures, axis=1))
    demo(tmp_path / "wide.png", tmp_path / "out", "--tile", 64, "--overlap", 0, "--vis_thresh", 0.3)
    (line,) = demo.lines(tmp_path / "out")
    assert (line["width"], line["height"]) == (256, 64)
    found = np.array([[*d["box"], d["class_id"]] for d in line["detections"]])
    alone = demo.load(tiny.lively)
    for number, picture in enumerate(pictures):
        inside = [d for d in alone.predict(picture) if d.score >= 0.3 and d.box[0] > 8 and d.box[2] < 56]
        for detection in inside:
            shifted = np.array([*detection.box, detection.class_id]) + np.array([1, 0, 1, 0, 0]) * 64 * number
            assert np.abs(found - shifted).max(axis=1).min() < 1e-2
    demo(tiny.images[0], tmp_path / "small", "--tile", 64, "--vis_thresh", 0.3)
    assert [d["box"] for d in demo.lines(tmp_path / "small")[0]["detections"]] == [
        list(d.box) for d in alone.predict(tiny.images[0]) if d.score >= 0.3
    ]


def test_tiles_looked_at_twice_and_at_several_scales_hold_nothing_twice(tiny: Any, demo: Any, tmp_path: Path) -> None:
    write_image(tmp_path / "wide.png", np.concatenate([read_image(path) for path in tiny.images[:3]], axis=1))
    words = ("--tile", 64, "--overlap", 16, "--flip_test", "--test_scales", "0.75,1,1.25", "--vis_thresh", 0.1)
    demo(tmp_path / "wide.png", tmp_path / "out", *words)
    found = demo.lines(tmp_path / "out")[0]["detections"]
    boxes, class_ids = np.array([d["box"] for d in found]), np.array([d["class_id"] for d in found])
    alike = np.triu(iou_matrix(boxes, boxes) >= 0.5, 1) & (class_ids[:, None] == class_ids)
    assert len(found) > 10
    assert not alike.any(), boxes[alike.any(axis=0)]


def test_the_script_needs_no_display_and_no_words_about_the_network(tiny: Any, demo: Any, script: Command, tmp_path: Path) -> None:
    ended = script("demo.py", "ctdet", "--checkpoint", tiny.lively, "--demo", tiny.images[0], "--gpus", "0", "--debug", 2, "-o", "here")
    assert (tmp_path / "here" / "000001_input.jpg").is_file()
    assert "1 images" in ended.out
