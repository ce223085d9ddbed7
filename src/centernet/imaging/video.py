"""Video files and cameras as a sequence of images, and video files from one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2

from centernet.errors import DataError, OutputError
from centernet.structures import Array

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")

_DEFAULT_RATE, _HIGHEST_RATE = 25.0, 1000.0  # frames per second


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a path's suffix is that of a video."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


class Frames:
    """The frames of a video file, decoded one by one while they are iterated; each iteration starts at the beginning.

    rate: frames per second; 25 where the file does not say. num_frames: as the file declares, 0 where it does not.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        capture = self._open()
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate: float = rate if 0 < rate <= _HIGHEST_RATE else _DEFAULT_RATE  # an unknown rate is 0, or a time base such as 90000
        self.num_frames: int = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        capture.release()

    def __iter__(self) -> Iterator[Array]:
        yield from _frames(self._open())

    def _open(self) -> cv2.VideoCapture:
        if not self._path.is_file():
            raise DataError(f"{self._path}: no such video file")
        capture = _opened(str(self._path))
        if not (capture.isOpened() and capture.grab()):
            raise DataError(f"{self._path}: no frame can be decoded; expected a video that FFmpeg reads")
        capture.release()
        return _opened(str(self._path))


def _opened(source: str | int) -> cv2.VideoCapture:
    """A file or camera opened without a word from OpenCV or FFmpeg: what is wrong with it, we say."""
    _silence_ffmpeg()
    level = cv2.setLogLevel(0)
    try:
        return cv2.VideoCapture(source)
    finally:
        cv2.setLogLevel(level)


def _silence_ffmpeg() -> None:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; OpenCV looks at it when FFmpeg is first used


def _frames(capture: cv2.VideoCapture) -> Iterator[Array]:
    """All that comes, then the capture is released."""
    try:
        while (frame := capture.read())[0]:
            yield frame[1]
    finally:
        capture.release()


def read_frames(path: str | os.PathLike[str]) -> Frames:
    """Open a video: iterate it for (H, W, 3) uint8 BGR frames, upright; `.rate` are its frames per second.

    Args:
        path: of the video file.

    Raises:
        DataError: there is no such file, or no frame can be decoded from it.
    """
    return Frames(path)


class Camera:
    """The frames of a camera, as they come; each iteration opens the camera anew.

    number: as the operating system counts. rate: frames per second, as its driver says; 25 where it does not. num_frames: 0,
    since there is no end.
    """

    num_frames = 0

    def __init__(self, number: int) -> None:
        """Find camera `number` >= 0; DataError if there is none, or it gives no frame."""
        self.number = number
        capture = self._open()
        try:
            rate = capture.get(cv2.CAP_PROP_FPS)
            self.rate: float = rate if 0 < rate <= _HIGHEST_RATE else _DEFAULT_RATE
            if not capture.read()[0]:
                raise DataError(f"webcam:{number}: the camera gives no picture; is another program using it?")
        finally:
            capture.release()

    def __iter__(self) -> Iterator[Array]:
        yield from _frames(self._open())

    def _open(self) -> cv2.VideoCapture:
        capture = _opened(self.number)
        if not capture.isOpened():
            raise DataError(f"webcam:{self.number}: no such camera, or it may not be used; cameras are counted from webcam:0")
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # no frames of a while ago, where detecting is slower than the camera
        return capture


class VideoWriter:
    """Write frames to an MP4 file; used as a context manager. The first frame's size is the video's, made even.

    Its colours are stored at half the size, so the last row or column of an odd number is written twice; OpenCV would drop it.
    """

    def __init__(self, path: str | os.PathLike[str], rate: float) -> None:
        """Prepare for a file that ends in .mp4, at `rate` > 0 frames per second; OutputError for another suffix."""
        self._path = Path(path)
        self._rate = rate
        self._writer: cv2.VideoWriter | None = None
        self._shape: tuple[int, ...] = ()
        self._num_written = 0
        if self._path.suffix.lower() != ".mp4":
            raise OutputError(f"{self._path}: video is written as .mp4, not as '{self._path.suffix}'")

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.release()

    def write_at(self, frame: Array, seconds: float) -> None:
        """Append a frame that was taken `seconds` after the first, of frames that come irregularly: as often as its time asks for."""
        for _ in range(1 + round(seconds * self._rate) - self._num_written):
            self.write(frame)

    def write(self, frame: Array) -> None:
        """Append one (H, W, 3) uint8 BGR frame.

        Raises:
            OutputError: the file cannot be written.
            ValueError: the frame has another size than the first.
        """
        if self._writer is None:
            self._writer = self._start(frame)
        if frame.shape != self._shape:
            raise ValueError(f"{self._path}: frame of shape {frame.shape}, expected {self._shape} as the first")
        self._writer.write(_even(frame))
        self._num_written += 1

    def _start(self, frame: Array) -> cv2.VideoWriter:
        self._shape = frame.shape
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror or error}") from error
        height, width = _even(frame).shape[:2]
        _silence_ffmpeg()
        writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), self._rate, (width, height))
        if not writer.isOpened():
            raise OutputError(f"{self._path}: OpenCV cannot write MP4 video of {width}x{height} pixels here")
        return writer


def _even(frame: Array) -> Array:
    height, width = frame.shape[:2]
    if height % 2 == width % 2 == 0:
        return frame
    return cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
