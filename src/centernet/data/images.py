"""Where the pixels of a data set come from: its files, or what keeps them from being read again."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from centernet.imaging import io
from centernet.structures import Array


class Picture(Protocol):
    """An image that is at hand but perhaps not decoded yet."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of the whole image, upright; DataError if it is no image."""

    def decode(self, reduction: int = 1) -> Array:
        """(H, W, 3) uint8 BGR, not to be written to: `size` divided by `reduction` (1, 2, 4, 8) or by less, rounded up.

        DataError naming the file if it cannot be decoded.
        """


class Images(Protocol):
    """Finds an image by its number in the data set and its path; called from several threads."""

    def picture(self, index: int, path: Path) -> Picture:
        """Image `index`; DataError naming the file if it cannot be read."""


class ImageFiles:
    """Every image from its file, every time."""

    def picture(self, index: int, path: Path) -> Picture:
        """The bytes of the file."""
        del index
        return io.read_encoded(path)
