"""Image files as they come in real life: read to uint8 BGR, written, listed, measured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from centernet.errors import DataError, OutputError
from centernet.imaging.header import jpeg_header, size_from_header, truncation, webp_orientation
from centernet.structures import Array

_READ = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def limit_threads(num_threads: int) -> None:
    """Let OpenCV use so many threads for one call; 1 inside workers, which already are one per core.

    Args:
        num_threads: >= 1.

    Raises:
        ValueError: fewer than one.
    """
    if num_threads < 1:
        raise ValueError(f"num_threads is {num_threads}, expected >= 1")
    cv2.setNumThreads(num_threads)


@contextmanager
def without_threads() -> Iterator[None]:
    """Let OpenCV end its own threads for a while: a process forked meanwhile would wait for ever for those that it does not have."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def read_image(path: str | os.PathLike[str]) -> Array:
    """Decode an image file.

    Grey becomes three equal channels, 16 bits are cut to the upper 8, transparency is dropped, CMYK is converted, and the
    EXIF orientation is applied. The content decides the format, not the suffix. `a.jpg` also finds a file called `a.JPG`.

    Args:
        path: any name the file system knows.

    Returns:
        (H, W, 3) uint8, BGR.

    Raises:
        DataError: there is no such file, it cannot be read, is no image, or is cut off; the text names the file.
    """
    return read_encoded(path).decode()


def decode_image(data: bytes, name: str, *, reduction: int = 1) -> Array:
    """Decode the bytes of an image file, as `read_image` does.

    Args:
        data: all bytes of the file.
        name: what to call it in an error.
        reduction: 1, 2, 4 or 8: how many times smaller the image may be. Only a JPEG becomes smaller, which is quicker to
            decode then; each pixel stands for a square of so many pixels, cut off at the right and at the bottom.

    Returns:
        (H, W, 3) uint8, BGR.

    Raises:
        DataError: the bytes are no image, or are cut off.
    """
    if not data:
        raise DataError(f"{name}: the file is empty; expected an image")
    if reason := truncation(data):
        raise DataError(f"{name}: the file is cut off: {reason} ({len(data)} bytes); copy or download it again")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _READ[reduction if reduction > 1 and _is_reducible(data, reduction) else 1])
    except cv2.error as error:
        raise DataError(f"{name}: cannot be decoded: {error.err}") from error
    if image is None:
        raise DataError(f"{name}: not an image that can be decoded (begins with {data[:8]!r}); expected JPEG, PNG, WebP, BMP or TIFF")
    return _upright(image, webp_orientation(data))


@dataclass(frozen=True)
class EncodedImage:
    """The bytes of an image file; `name` is what to call it in an error."""

    data: bytes
    name: str

    @cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels when decoded, upright; for JPEG and PNG from the header alone; DataError as `decode_image`."""
        size = size_from_header(self.data)
        return (self._whole.shape[0], self._whole.shape[1]) if size is None else size

    def decode(self, reduction: int = 1) -> Array:
        """The pixels, as `decode_image` gives them.

        Args:
            reduction: 1, 2, 4 or 8: how many times smaller the image may be.

        Returns:
            (H, W, 3) uint8, BGR; H and W are `size` divided by `reduction` or by a smaller number, rounded up.
        """
        if "_whole" in self.__dict__:  # where only decoding told the size
            return self._whole
        return decode_image(self.data, self.name, reduction=reduction)

    @cached_property
    def _whole(self) -> Array:
        return decode_image(self.data, self.name)


def read_encoded(path: str | os.PathLike[str]) -> EncodedImage:
    """The bytes of an image file; `a.jpg` also finds `a.JPG`; DataError naming the file if they cannot be read."""
    try:
        data = _content(path)
    except (OSError, ValueError):  # another suffix, or the error that says what is wrong; ValueError: a NUL in the name
        data = _read_bytes(find_image(path))
    return EncodedImage(data, str(path))


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """The size an image will have when read, after the EXIF orientation; for JPEG and PNG without decoding the pixels.

    Args:
        path: of the image file.

    Returns:
        (height, width), in pixels.

    Raises:
        DataError: as `read_image`; a cut-off file may go unnoticed.
    """
    return read_encoded(path).size


def find_image(path: str | os.PathLike[str]) -> Path:
    """The file itself, or the one whose suffix differs in upper and lower case only (data sets made on Windows).

    Args:
        path: of the image file.

    Returns:
        The path of an existing file.

    Raises:
        DataError: there is none, or it is a folder.
    """
    path = Path(path)
    suffix = path.suffix
    for candidate in dict.fromkeys([suffix, suffix.lower(), suffix.upper(), suffix.title()]):
        found = path.with_suffix(candidate) if suffix else path
        if found.is_file():
            return found
    if path.is_dir():
        raise DataError(f"{path}: is a folder, expected an image file")
    where = "" if path.parent.is_dir() else f" (the folder {path.parent} does not exist either)"
    raise DataError(f"{path}: no such image file{where}")


def list_images(path: str | os.PathLike[str]) -> list[Path]:
    """The images of a folder (not of the folders in it), by name; or the one file given, whatever its suffix.

    Args:
        path: a folder or an image file.

    Returns:
        At least one path.

    Raises:
        DataError: there is no such path, or the folder holds no images.
    """
    path = Path(path)
    if not path.is_dir():
        return [find_image(path)]
    # Names with a leading dot: macOS leaves `._a.jpg` beside `a.jpg` on foreign disks, which is no image.
    images = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") and p.is_file())
    if not images:
        raise DataError(f"{path}: the folder holds no images; expected files that end in {', '.join(IMAGE_SUFFIXES)}")
    return images


def encode_png(image: Array) -> bytes:
    """The bytes of a PNG file; image: (H, W, 3) uint8 BGR, or (H, W) uint8 grey."""
    encoded, data = cv2.imencode(".png", image)
    assert encoded, (image.dtype, image.shape)
    return bytes(data)


def encode_jpeg(image: Array, *, quality: int = 85) -> bytes:
    """The bytes of a JPEG file; image: (H, W, 3) uint8 BGR; quality: 0 to 100."""
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded, (image.dtype, image.shape)
    return bytes(data)


def write_image(path: str | os.PathLike[str], image: Array) -> None:
    """Write an image in the format of the path's suffix; folders on the way are made.

    Args:
        path: ends in one of `IMAGE_SUFFIXES`. JPEG is written at quality 95.
        image: (H, W, 3) uint8 BGR, or (H, W) uint8 grey.

    Raises:
        OutputError: unknown suffix, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise OutputError(f"{path}: no image format has the suffix '{path.suffix}'; expected one of {', '.join(IMAGE_SUFFIXES)}")
    encoded, data = cv2.imencode(path.suffix.lower(), image)
    if not encoded:
        raise OutputError(f"{path}: an image of {image.dtype} {image.shape} cannot be written as '{path.suffix}'")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _is_reducible(data: bytes, reduction: int) -> bool:
    """Whether a file is a JPEG whose smaller version begins with a whole square at the top left, upright."""
    header = jpeg_header(data)
    if header is None:
        return False
    (height, width), orientation = header
    return orientation == 1 or height % reduction == width % reduction == 0  # else the cut squares may come to lie at the top left


def _upright(image: Array, orientation: int) -> Array:
    """The image as its photographer saw it; orientations as EXIF numbers them, 1 is as stored."""
    if orientation >= 5:  # stored on its side: rows are columns
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _content(path: str | os.PathLike[str]) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def _read_bytes(path: Path) -> bytes:
    try:
        return _content(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
