"""`demo`: videos and cameras."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.experiment.demo_records import Records
from centernet.imaging.io import read_image
from centernet.imaging.video import VideoWriter, read_frames

Command = Callable[..., Any]


@pytest.fixture
def film(tiny: Any, tmp_path: Path) -> Path:
    """Four pictures at twelve a second."""
    with VideoWriter(tmp_path / "film.mp4", 12) as writer:
        for path in tiny.images[:4]:
            writer.write(read_image(path))
    return tmp_path / "film.mp4"


def test_a_video_becomes_a_video_of_the_same_frames(demo: Any, tmp_path: Path, film: Path) -> None:
    ended = demo(film, tmp_path / "out")
    assert demo.names(tmp_path / "out") == {"film.mp4"}
    drawn = read_frames(tmp_path / "out" / "film.mp4")
    assert drawn.rate == pytest.approx(12)
    assert [frame.shape for frame in drawn] == [(64, 64, 3)] * 4
    records = demo.lines(tmp_path / "out")
    assert [(record["video"], record["frame"]) for record in records] == [(str(film), number) for number in range(4)]
    assert [record["seconds"] for record in records] == pytest.approx([0, 1 / 12, 2 / 12, 3 / 12], abs=1e-3)
    assert all(record["detections"] and "track_id" not in record["detections"][0] for record in records)
    assert [record["image_id"] for record in records] == sorted({result["image_id"] for result in demo.results(tmp_path / "out")})
    assert "4 images" in ended.out


def test_an_interrupted_video_has_as_many_frames_as_lines(
    demo: Any, tiny: Any, centernet: Command, tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever Ctrl-C comes: here between the second frame's line and its picture."""
    add = Records.add

    def interrupted(self: Records, heading: Any, *rest: Any, **named: Any) -> None:
        add(self, heading, *rest, **named)
        if heading["frame"] == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Records, "add", interrupted)
    centernet("demo", "--checkpoint", tiny.lively, "--demo", film, "-o", tmp_path / "out", code=130)
    assert len(demo.lines(tmp_path / "out")) == len(list(read_frames(tmp_path / "out" / "film.mp4"))) == 2
    assert {result["image_id"] for result in demo.results(tmp_path / "out")} == {1, 2}


def test_a_video_without_pictures_is_json_only(demo: Any, tmp_path: Path, film: Path) -> None:
    demo(film, tmp_path / "out", "--debug", 0)
    assert demo.names(tmp_path / "out") == set()
    assert len(demo.lines(tmp_path / "out")) == 4


def test_a_pattern_takes_videos_too(tiny: Any, demo: Any, tmp_path: Path, film: Path) -> None:
    shutil.copy(tiny.images[0], film.parent / "film.png")
    demo(film.parent / "film.*", tmp_path / "out")
    assert demo.names(tmp_path / "out") == {"film.jpg", "film.mp4"}
    assert [line["image_id"] for line in demo.lines(tmp_path / "out")] == [1, 2, 3, 4, 5]


def test_a_video_among_several_that_cannot_be_read_is_left_out(demo: Any, tmp_path: Path, film: Path) -> None:
    (film.parent / "a film.mp4").write_bytes(b"no film")
    ended = demo(film.parent / "*film.mp4", tmp_path / "out")
    assert f"skipped: {film.parent}/a film.mp4: no frame can be decoded" in ended.err
    assert demo.names(tmp_path / "out") == {"film.mp4"}
    assert "4 images, 1 unreadable" in ended.out


def test_a_video_is_not_overwritten_by_its_own_result(tiny: Any, centernet: Command, film: Path) -> None:
    before = film.read_bytes()
    ended = centernet("demo", "--checkpoint", tiny.lively, "--demo", film, "-o", film.parent, code=2)
    assert "would be overwritten" in ended.err
    assert film.read_bytes() == before


def test_objects_of_a_video_get_numbers(tiny: Any, demo: Any, tmp_path: Path) -> None:
    pytest.importorskip("norfair")
    with VideoWriter(tmp_path / "still.mp4", 10) as writer:
        for _ in range(4):
            writer.write(read_image(tiny.images[0]))
    demo(tmp_path / "still.mp4", tmp_path / "out", "--track", "--vis_thresh", 0.4)
    for ids in ([d["track_id"] for d in line["detections"]] for line in demo.lines(tmp_path / "out")):
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


def test_a_camera_runs_until_it_is_stopped(demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centernet.imaging.video.cv2.VideoCapture", FakeCamera)
    ended = demo(Path("webcam:2"), tmp_path / "out")
    monkeypatch.undo()
    assert "stopped" in ended.out
    assert "3 images" in ended.out
    records = demo.lines(tmp_path / "out")
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
