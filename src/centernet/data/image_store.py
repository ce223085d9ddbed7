"""What keeps images between epochs: the border between the cache and the places it keeps them in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from centernet.imaging import io


class Origin(NamedTuple):
    """The file an image was read from; another size or time of modification (ns) means that it is another image now."""

    path: bytes
    num_bytes: int
    modified: int


class Kept(NamedTuple):
    """A kept image: its bytes, and (height, width) where they are pixels, (0, 0) where they are a file's."""

    data: memoryview
    size: tuple[int, int]


@dataclass(frozen=True)
class Filling:
    """How full a store is: images in it, bytes taken and bytes allowed."""

    num_images: int
    num_bytes: int
    budget: int


class Store(Protocol):
    """Keeps images by their number; used by several threads and processes at once, and pickles into them."""

    def get(self, key: int, origin: Origin) -> Kept | None:
        """The image; None where it is not there, was made from another file, or is damaged."""

    def put(self, key: int, origin: Origin, image: Kept) -> bool:
        """Keep an image; False where that is not possible, which is no error. A process killed in it leaves nothing half done."""

    def filling(self) -> Filling:
        """How full it is."""

    def handle(self) -> str:
        """A text with which another process opens the same store."""


def origin_of(path: Path) -> Origin:
    """What the file is at present; DataError naming it where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # not there under this very name
        status = io.find_image(path).stat()
    return Origin(os.fsencode(path), status.st_size, status.st_mtime_ns)
