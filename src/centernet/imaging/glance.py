"""An image's size and soundness from the first and last bytes of its file, for data sets too large to be decoded."""

from __future__ import annotations

import os
from pathlib import Path

from centernet.errors import DataError
from centernet.imaging.header import size_from_header, truncation
from centernet.imaging.io import find_image, read_encoded

HEAD, TAIL = 1 << 16, 64
_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND\xaeB`\x82"}


def glance(path: str | os.PathLike[str]) -> tuple[int, int]:
    """The size an image will have when read, upright, without reading all of a JPEG or PNG file.

    Args:
        path: of the image file; `a.jpg` also finds `a.JPG`.

    Returns:
        (height, width), in pixels.

    Raises:
        DataError: there is no such file, it cannot be read, is no image, or is cut off; pixels that are damaged go unnoticed.
    """
    found = find_image(path)
    try:
        with open(found, "rb", buffering=0) as file:
            head = file.read(HEAD)
            length = os.fstat(file.fileno()).st_size
            file.seek(max(0, length - TAIL))
            tail = file.read(TAIL)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    end = _ENDS.get(head[:2])
    size = size_from_header(head) if end is not None and tail.endswith(end) else None
    return size if size is not None else _whole(found)


def _whole(path: Path) -> tuple[int, int]:
    encoded = read_encoded(path)
    if not encoded.data:
        raise DataError(f"{path}: the file is empty; expected an image")
    if reason := truncation(encoded.data):
        raise DataError(f"{path}: the file is cut off: {reason} ({len(encoded.data)} bytes); copy or download it again")
    return encoded.size
