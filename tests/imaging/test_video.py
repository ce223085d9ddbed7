"""Video files, written and read back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from centernet.errors import DataError, OutputError
from centernet.imaging.video import Camera, VideoWriter, is_video, read_frames


def test_frames_survive_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "new" / "film.mp4"
    with VideoWriter(path, 12.5) as writer:
        for level in (20, 120, 220):
            writer.write(np.full((48, 64, 3), level, np.uint8))
    frames = read_frames(path)
    assert frames.rate == pytest.approx(12.5)
    assert frames.num_frames == 3
    for _ in range(2):  # each iteration starts at the beginning
        read = list(frames)
        assert [frame.shape for frame in read] == [(48, 64, 3)] * 3
        np.testing.assert_allclose([frame.mean() for frame in read], [20, 120, 220], atol=6)


def test_videos_are_known_by_their_suffix() -> None:
    assert is_video("a.MP4")
    assert is_video(Path("b.mov"))
    assert not is_video("c.jpg")


def test_missing_and_broken_videos_are_errors_that_name_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.mp4: no such video file"):
        read_frames(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(DataError, match=r"text\.mp4: no frame can be decoded"):
        read_frames(tmp_path / "text.mp4")


def test_of_a_broken_video_nobody_speaks_but_the_error(tmp_path: Path) -> None:
    """In a process of its own: FFmpeg and OpenCV write where Python does not see it, and FFmpeg is set up once."""
    (tmp_path / "text.mp4").write_text("not a video")
    program = """
import sys
from centernet.errors import DataError
from centernet.imaging.video import read_frames
try:
    read_frames(sys.argv[1])
except DataError:
    print("said")
"""
    command = [sys.executable, "-c", program, str(tmp_path / "text.mp4")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("said\n", "")


def test_frames_of_odd_sizes_keep_their_last_row_and_column(tmp_path: Path) -> None:
    frame = np.full((49, 65, 3), 60, np.uint8)
    frame[-1], frame[:, -1] = 200, 200
    with VideoWriter(tmp_path / "odd.mp4", 10) as writer:
        for _ in range(2):
            writer.write(frame)
    for read in read_frames(tmp_path / "odd.mp4"):
        assert read.shape == (50, 66, 3)
        assert read[48, 10].mean() > 130
        assert read[10, 64].mean() > 130
        assert read[:40, :56].mean() < 80


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"written as \.mp4, not as '\.avi'"):
        VideoWriter(tmp_path / "a.avi", 10)
    (tmp_path / "file").touch()
    with VideoWriter(tmp_path / "file" / "a.mp4", 10) as writer, pytest.raises(OutputError, match="cannot be written"):
        writer.write(np.zeros((48, 64, 3), np.uint8))


def test_frames_of_another_size_are_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
        with pytest.raises(ValueError, match="frame of shape"):
            writer.write(np.zeros((48, 32, 3), np.uint8))


def test_frames_that_come_irregularly_keep_their_times(tmp_path: Path) -> None:
    path = tmp_path / "live.mp4"
    with VideoWriter(path, 10) as writer:
        for level, seconds in ((20, 0.0), (80, 0.31), (140, 0.33), (200, 0.6)):
            writer.write_at(np.full((48, 64, 3), level, np.uint8), seconds)
    levels = [frame.mean() for frame in read_frames(path)]
    assert len(levels) == 1 + 6
    np.testing.assert_allclose(levels, [20, 80, 80, 80, 200, 200, 200], atol=8)


def test_a_camera_that_is_not_there_is_an_error_that_says_how_they_are_counted() -> None:
    with pytest.raises(DataError, match=r"webcam:97: no such camera.*counted from webcam:0"):
        Camera(97)


def test_a_camera_without_a_picture_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dark:
        """Opens, and gives nothing."""

        def __init__(self, number: int) -> None: ...

        def __getattr__(self, name: str) -> object:
            return {"isOpened": lambda: True, "get": lambda _: 30.0, "set": lambda *_: True, "read": lambda: (False, None)}.get(
                name, lambda: None
            )

    monkeypatch.setattr("centernet.imaging.video.cv2.VideoCapture", Dark)
    with pytest.raises(DataError, match="webcam:0: the camera gives no picture"):
        Camera(0)
