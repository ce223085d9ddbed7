"""PyTorch checkpoints read without PyTorch: the zip that `torch.save` writes since 1.6 and the stream it wrote before."""

from __future__ import annotations

import io
import logging
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from centernet.errors import WeightsError, first_of
from centernet.weights.store import Array
from centernet.weights.torch_pickle import DAMAGED, MAX_PICKLE, Refused, Storage, StorageType, Tensor, load

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
# In this order: of a checkpoint with several, the plain parameters are taken, not their moving average.
WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "network", "net", "params"),
    *("state_dict_ema", "model_ema", "ema", "params_ema"),
)
EXPANDED_LIMIT = 1 << 20  # elements a tensor may have beyond its storage (strides of 0)
MAX_DEPTH = 3  # wrappers in one another
EXAMPLES = 5  # keys an error lists
LOG = logging.getLogger(__name__)

Say = Callable[[str], None]


def _nothing(text: str) -> None:
    """Says nothing."""


def read_torch(path: str | Path) -> dict[str, Array]:
    """The state dict of a checkpoint: name -> values, names and order as in the file.

    The state dict may be the object itself or lie under one of `WRAPPERS`; optimizer and epoch are left in the file. Which
    of several is taken goes to the log.
    Values keep their type, but bfloat16 becomes float32, which holds it exactly.

    Raises:
        WeightsError: the file is missing, cut off, damaged or no checkpoint, or its pickle asks for code to be run.
    """

    def say(text: str) -> None:
        LOG.info("%s: %s", path, text)

    with _opened(path) as (stream, is_zip):
        return _read_zip(stream, say) if is_zip else _read_legacy(stream, say)


def read_torch_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """As `read_torch`, but shapes alone, without reading the values: quick for files of any size.

    Raises:
        WeightsError: as `read_torch`; that values are cut off may go unnoticed.
    """
    with _opened(path) as (stream, is_zip):
        if is_zip:
            with zipfile.ZipFile(stream) as archive:
                tensors, _ = _zip_tensors(archive)
        else:
            tensors, _, _ = _legacy_tensors(stream)
    return {name: tensor.shape for name, tensor in tensors.items()}


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[BinaryIO, bool]]:
    """The file, and whether it is a zip; what reading it raises becomes a WeightsError that names it."""
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            is_zip = stream.read(len(ZIP_MAGIC)) == ZIP_MAGIC
            stream.seek(0)
            yield stream, is_zip
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such checkpoint") from error
    except Refused as error:
        raise WeightsError(
            f"{path}: refused: its pickle asks for '{error}', and a state dict needs no code; "
            "if you trust the file, save the state dict alone with PyTorch: torch.save(model.state_dict(), PATH)"
        ) from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (*DAMAGED, zipfile.BadZipFile) as error:
        size, text = os.path.getsize(path), str(error) or type(error).__name__
        if isinstance(error, zipfile.BadZipFile) and is_zip and not zipfile.is_zipfile(path):
            text = "cut off: the table of contents at the end of a zip file is not there"
        raise WeightsError(f"{path}: not a PyTorch checkpoint, or a damaged one ({size} bytes): {text}") from error


def _read_zip(stream: BinaryIO, say: Say) -> dict[str, Array]:
    with zipfile.ZipFile(stream) as archive:
        tensors, folder = _zip_tensors(archive, say)
        names = archive.namelist()
        order = ">" if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") == b"big" else "<"

        def read(storage: Storage) -> bytes:
            entry = archive.getinfo(f"{folder}data/{storage.key}")
            expected = storage.size * np.dtype(storage.type.code).itemsize
            if entry.file_size < expected:
                raise ValueError(f"'{entry.filename}' has {entry.file_size} bytes, expected {expected}")
            return archive.read(entry)

        return _arrays(tensors, read, order)


def _zip_tensors(archive: zipfile.ZipFile, say: Say = _nothing) -> tuple[dict[str, Tensor], str]:
    """The tensors of the state dict, and the folder their storages are in."""
    names = archive.namelist()
    pickled = next((name for name in names if name.endswith("/data.pkl") and name.count("/") == 1), None)
    if pickled is None:
        raise ValueError(f"a zip file without data.pkl, with {_some(names)}")
    if archive.getinfo(pickled).file_size > MAX_PICKLE:
        raise ValueError(f"its pickle is longer than {MAX_PICKLE} bytes")
    return _state_dict(load(io.BytesIO(archive.read(pickled))), say), pickled.removesuffix("data.pkl")


def _read_legacy(stream: BinaryIO, say: Say) -> dict[str, Array]:
    tensors, types, order = _legacy_tensors(stream, say)
    keys = load(stream)
    if not isinstance(keys, list) or not set(map(str, keys)) <= set(types):
        raise ValueError("the list of storages behind the pickle is not that of its tensors")
    wanted = {tensor.storage.key for tensor in tensors.values()}
    contents = dict(_legacy_storages(stream, [(str(key), types[str(key)]) for key in keys], wanted, order))
    return _arrays(tensors, lambda storage: contents[storage.key], order)


def _legacy_tensors(stream: BinaryIO, say: Say = _nothing) -> tuple[dict[str, Tensor], dict[str, StorageType], str]:
    """The tensors of the state dict, the types of all storages by key, and the order of their bytes."""
    magic = load(stream)
    if magic != LEGACY_MAGIC:
        raise ValueError("a pickle, but without PyTorch's magic number in front")
    version = load(stream)
    if version != LEGACY_VERSION:
        raise ValueError(f"version {version} of the format, expected {LEGACY_VERSION}")
    system = load(stream)
    order = ">" if isinstance(system, Mapping) and system.get("little_endian") is False else "<"
    types: dict[str, StorageType] = {}
    return _state_dict(load(stream, types), say), types, order


def _legacy_storages(
    stream: BinaryIO, storages: list[tuple[str, StorageType]], wanted: set[str], order: str
) -> Iterator[tuple[str, bytes]]:
    """Key and bytes of every storage that is wanted; they follow one another, each after its length."""
    total = os.fstat(stream.fileno()).st_size
    for position, (key, storage_type) in enumerate(storages):
        header = stream.read(8)
        if len(header) < 8:
            raise ValueError(f"cut off in front of storage {position + 1} of {len(storages)}")
        size = int(np.frombuffer(header, f"{order}i8")[0]) * np.dtype(storage_type.code).itemsize
        if not 0 <= size <= total - stream.tell():
            left = total - stream.tell()
            raise ValueError(f"cut off at storage {position + 1} of {len(storages)}: {size} bytes expected, {left} are left")
        if key in wanted:
            yield key, stream.read(size)
        else:
            stream.seek(size, os.SEEK_CUR)


def _state_dict(content: object, say: Say) -> dict[str, Tensor]:
    """The tensors of a state dict, wherever it is."""
    if isinstance(content, Mapping):
        wrappers = [wrapper for wrapper in WRAPPERS if _has_tensors(content.get(wrapper))]
        if len(wrappers) > 1:
            say(f"has parameters as {', '.join(map(repr, wrappers))}: '{wrappers[0]}' is taken")
        if wrappers:
            return _state_dict(content[wrappers[0]], say)
        tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
    found = f"the keys {_some(list(map(str, content)))}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
    raise ValueError(f"no state dict in it, only {found}")


def _has_tensors(content: object, depth: int = MAX_DEPTH) -> bool:
    """Whether it is a state dict, or one lies in it: other things are called `model` and `params` too."""
    if not isinstance(content, Mapping) or not depth:
        return False
    found = any(isinstance(value, Tensor) for value in content.values())
    return found or any(_has_tensors(content.get(key), depth - 1) for key in WRAPPERS)


def _arrays(tensors: Mapping[str, Tensor], read: Callable[[Storage], bytes], order: str) -> dict[str, Array]:
    contents: dict[str, bytes] = {}  # by storage: tensors may share one
    arrays = {}
    for name, tensor in tensors.items():
        storage = tensor.storage
        if storage.key not in contents:
            contents[storage.key] = read(storage)
        try:
            arrays[name] = _array(tensor, contents[storage.key], order)
        except ValueError as error:
            raise ValueError(f"'{name}': {error}") from error
    return arrays


def _array(tensor: Tensor, content: bytes, order: str) -> Array:
    """A copy of the window, in this machine's byte order."""
    storage = tensor.storage
    dtype = np.dtype(storage.type.code).newbyteorder(order)  # type: ignore[arg-type]
    values = np.frombuffer(content, dtype, count=len(content) // dtype.itemsize)[: storage.size][storage.first :]
    elements = 1
    for side in tensor.shape:
        elements *= side
    reach = tensor.offset + sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True)) + 1
    if elements and (reach > values.size or elements > values.size + EXPANDED_LIMIT):
        raise ValueError(f"shape {tensor.shape} at offset {tensor.offset} does not fit its storage of {values.size} numbers")
    if not elements:
        window = np.empty(tensor.shape, dtype)
    else:
        strides = tuple(stride * dtype.itemsize for stride in tensor.strides)
        window = np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides)
    native = np.array(window, dtype.newbyteorder("="), order="C")
    return (native.astype(np.uint32) << 16).view(np.float32) if storage.type.is_bfloat16 else native


def _some(names: list[str]) -> str:
    return first_of(names, EXAMPLES) or "nothing"
