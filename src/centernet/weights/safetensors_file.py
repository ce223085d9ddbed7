"""The safetensors format: eight bytes of length, a JSON header of that length, then the values; nothing in it can run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from centernet.errors import WeightsError
from centernet.weights.store import Array

TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
    "BF16": "<u2",
}
METADATA = "__metadata__"


def read_safetensors(path: str | Path) -> dict[str, Array]:
    """Name -> values, in the order of the file; bfloat16 becomes float32, which holds it exactly.

    Raises:
        WeightsError: the file is missing, cut off, damaged, or has numbers of a type that is not in `TYPES`.
    """
    with _opened(path) as (stream, size):
        header = _header(stream, size)
        values = memoryview(stream.read())
        return {name: _array(name, entry, values) for name, entry in header.items()}


def read_safetensors_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """As `read_safetensors`, but shapes alone, without reading the values.

    Raises:
        WeightsError: as `read_safetensors`; that values are cut off goes unnoticed.
    """
    with _opened(path) as (stream, size):
        return {name: tuple(entry["shape"]) for name, entry in _header(stream, size).items()}


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[BinaryIO, int]]:
    """The file and its size; what reading it raises becomes a WeightsError that names it."""
    path, size = Path(path), 0
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            yield stream, size
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such checkpoint") from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a safetensors file, or a damaged one ({size} bytes): {error}") from error


def _header(stream: BinaryIO, size: int) -> dict[str, Any]:
    """Name -> entry of every tensor; the values follow in the stream."""
    start = stream.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > size - 8:
        raise ValueError(f"a header of {length} bytes does not fit")
    header = json.loads(stream.read(length))
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    return {name: entry for name, entry in header.items() if name != METADATA}


def _array(name: str, entry: Mapping[str, Any], values: memoryview) -> Array:
    kind, shape, (first, last) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if kind not in TYPES:
        raise ValueError(f"'{name}' has type {kind}, expected one of {', '.join(TYPES)}")
    if not 0 <= first <= last <= len(values):
        raise ValueError(f"'{name}' is at bytes {first} to {last} of {len(values)}: cut off")
    stored = np.frombuffer(values[first:last], TYPES[kind]).reshape(shape)
    native = np.array(stored, stored.dtype.newbyteorder("="))
    return (native.astype(np.uint32) << 16).view(np.float32) if kind == "BF16" else native
