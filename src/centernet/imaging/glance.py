"""An image's size and soundness from the first and last bytes of its file, for data sets too large to be decoded."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from centernet.errors import DataError
from centernet.imaging.header import size_from_header, truncation
from centernet.imaging.io import find_image, read_encoded

HEAD, TAIL = 1 << 16, 1 << 12
_ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND\xaeB`\x82"}


@dataclass(frozen=True)
class Glance:
    """size: (height, width) in pixels when read, upright. num_bytes: of the file. digest: of its ends; equal files have equal ones."""

    size: tuple[int, int]
    num_bytes: int
    digest: bytes


def glance(path: str | os.PathLike[str]) -> Glance:
    """Look at an image file without reading all of a JPEG or PNG.

    Args:
        path: of the image file; `a.jpg` also finds `a.JPG`.

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
    return Glance(size or _whole(found), length, hashlib.blake2b(head + tail, digest_size=16).digest())


def _whole(path: Path) -> tuple[int, int]:
    encoded = read_encoded(path)
    if not encoded.data:
        raise DataError(f"{path}: the file is empty; expected an image")
    if reason := truncation(encoded.data):
        raise DataError(f"{path}: the file is cut off: {reason} ({len(encoded.data)} bytes); copy or download it again")
    return encoded.size
