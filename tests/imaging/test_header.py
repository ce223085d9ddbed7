"""The bytes of an image file, without its pixels."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.imaging.header import size_from_header, truncation, webp_orientation

JPEG = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (33, 47, 3), np.uint8))[1].tobytes()


def jpeg_with_exif(tiff: bytes) -> bytes:
    content = b"Exif\x00\x00" + tiff
    return JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + JPEG[2:]


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_of_exif_are_understood(order: str) -> None:
    header = {"<": b"II*\x00", ">": b"MM\x00*"}[order]
    entries = struct.pack(order + "HHIHH", 0x0100, 3, 1, 9, 0) + struct.pack(order + "HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = header + struct.pack(order + "I", 8) + struct.pack(order + "H", 2) + entries + bytes(4)
    assert size_from_header(jpeg_with_exif(tiff)) == (47, 33)


@pytest.mark.parametrize("tiff", [
    b"", b"II", b"XX*\x00" + bytes(8), b"II*\x00" + struct.pack("<I", 10**6),
    b"II*\x00" + struct.pack("<IH", 8, 500), b"II*\x00" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 99, 0),
])  # fmt: skip
def test_broken_exif_counts_as_upright(tiff: bytes) -> None:
    assert size_from_header(jpeg_with_exif(tiff)) == (33, 47)


def test_padding_between_segments_is_skipped() -> None:
    assert size_from_header(JPEG[:2] + b"\xff\xff\xff" + JPEG[2:]) == (33, 47)


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP"]), st.integers(0, 400))
def test_garbage_never_crashes_the_parsers(garbage: bytes, start: bytes, cut: int) -> None:
    for data in (start + garbage, JPEG[:cut] + garbage):
        size = size_from_header(data)
        assert size is None or len(size) == 2
        truncation(data)
        assert 1 <= webp_orientation(data) <= 8


@given(st.integers(0, len(JPEG) - 1))
def test_every_cut_of_a_jpeg_but_the_whole_is_noticed(length: int) -> None:
    assert truncation(JPEG) is None
    assert length < 2 or truncation(JPEG[:length]) is not None
