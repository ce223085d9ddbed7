"""What the bytes of an image file say without decoding its pixels: size, orientation, and whether the file is complete."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"

_END_OF_IMAGE, _START_OF_SCAN, _APP1 = 0xD9, 0xDA, 0xE1
# The start-of-frame markers: all of 0xC0-0xCF but Huffman tables, arithmetic conditioning and the reserved one.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Inside a scan, 0xFF is data when 0 follows and a restart marker when 0xD0-0xD7 does; 0xFF may also be repeated as padding.
_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
_EXIF = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112


def size_from_header(data: bytes) -> tuple[int, int] | None:
    """(height, width) in pixels as the decoded image will have them, that is after the EXIF orientation.

    Args:
        data: all bytes of the file.

    Returns:
        None where the format is neither JPEG nor PNG without EXIF, or the header is broken: then only decoding tells.
    """
    if data.startswith(_PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        if b"eXIf" in data:
            return None
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    header = jpeg_header(data)
    if header is None:
        return None
    (height, width), orientation = header
    return (width, height) if orientation >= 5 else (height, width)


def jpeg_header(data: bytes) -> tuple[tuple[int, int], int] | None:
    """(height, width) in pixels as stored, and the EXIF orientation, 1 to 8; None where the data is no JPEG or is broken."""
    if not data.startswith(_JPEG):
        return None
    orientation = 1
    for marker, start, end in _jpeg_segments(data):
        if marker == _APP1 and data[start : start + 6] == _EXIF:
            orientation = _exif_orientation(data[start + 6 : end])
        elif marker in _START_OF_FRAME and end <= len(data):
            height, width = struct.unpack(">HH", data[start + 1 : start + 5])
            return (height, width), orientation
    return None


def webp_orientation(data: bytes) -> int:
    """The EXIF orientation of a WebP file, 1 to 8; OpenCV applies that of JPEG, PNG and TIFF itself, but not this one.

    Args:
        data: all bytes of the file.

    Returns:
        1, "as stored", where the file is no WebP or has no orientation.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return 1
    position = 12
    while position + 8 <= len(data):
        name, length = data[position : position + 4], int(struct.unpack("<I", data[position + 4 : position + 8])[0])
        if name == b"EXIF":
            return _exif_orientation(data[position + 8 : position + 8 + length].removeprefix(_EXIF))
        position += 8 + length + length % 2
    return 1


def truncation(data: bytes) -> str | None:
    """What shows that a file was cut off, or None where nothing does.

    OpenCV decodes a cut JPEG without an error, the rest of the picture grey; a training set would hold it for true.

    Args:
        data: all bytes of the file.

    Returns:
        A few words for an error text, such as "a PNG without its IEND chunk".
    """
    if data.startswith(_JPEG) and not _jpeg_is_complete(data):
        return "a JPEG without its end-of-image marker"
    if data.startswith(_PNG) and _PNG_END not in data:
        return "a PNG without its IEND chunk"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        declared = 8 + int(struct.unpack("<I", data[4:8])[0])
        if declared > len(data):
            return f"a WebP of {len(data)} bytes that declares {declared}"
    return None


def _jpeg_is_complete(data: bytes) -> bool:
    # Files may go on after their end (cameras append a second picture or a video), so the last two bytes prove only one way.
    if data.endswith(b"\xff\xd9"):
        return True
    return any(marker == _END_OF_IMAGE for marker, _, _ in _jpeg_segments(data))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment's content, scans included, until the end marker or the end of the data."""
    position = 2
    while match := _NEXT_MARKER.search(data, position):
        marker = match[1][0]
        start = match.end()
        if marker == _END_OF_IMAGE:
            yield marker, start, start
            return
        if start + 2 > len(data):
            return
        end = start + int(struct.unpack(">H", data[start : start + 2])[0])
        yield marker, start + 2, end
        position = end


def _exif_orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8 (5 to 8 swap the sides), in an EXIF block that begins with its TIFF header; 1 where it has none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 1
    directory = int(struct.unpack(order + "I", tiff[4:8])[0])
    if directory + 2 > len(tiff):
        return 1
    (count,) = struct.unpack(order + "H", tiff[directory : directory + 2])
    for entry in range(directory + 2, min(directory + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, _, value = struct.unpack(order + "HHIH", tiff[entry : entry + 10])
        if tag == _ORIENTATION_TAG and kind == 3:
            return int(value) if 1 <= value <= 8 else 1
    return 1
