"""Parameter files: read, write so that a crash cannot ruin one, and match against what a network expects."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from centernet.errors import OutputError, WeightsError

Array = npt.NDArray[Any]
Description = dict[str, Any]

DESCRIPTION = "centernet"  # root attribute of an HDF5 file; `centernet.json` in an .nnp
SUFFIXES = (".h5", ".protobuf", ".nnp")
LARGE_ATTRIBUTE = 60_000  # bytes; the old HDF5 file format holds attributes below 64 KiB only


@dataclass(frozen=True, kw_only=True)
class ParameterFile:
    """What a parameter file holds.

    parameters: name -> values, in the order of the file. need_grad: name -> whether it is trained.
    description: what the model is, in its own words; None for published files, which have none.
    """

    parameters: dict[str, Array]
    need_grad: dict[str, bool] = field(default_factory=dict)
    description: Description | None = None


def read_parameters(path: str | Path) -> ParameterFile:
    """Read all of an .h5 or .protobuf file of NNabla, or the parameters inside an .nnp.

    Raises:
        WeightsError: the file is missing, of another kind, or corrupt; the text names it.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise WeightsError(f"{path}: '{path.suffix}' is not a parameter file; expected {', '.join(SUFFIXES)}")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such parameter file") from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    read = {".h5": _read_hdf5, ".protobuf": _read_protobuf, ".nnp": _read_nnp}[path.suffix]
    try:
        file = read(content)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: not a {path.suffix} parameter file, or a damaged one ({len(content)} bytes): {error}") from error
    if not file.parameters:
        raise WeightsError(f"{path}: holds no parameters")
    return file


def read_description(path: str | Path) -> Description | None:
    """The description alone; None where the file has none.

    Raises:
        WeightsError: as `read_parameters`.
    """
    return read_parameters(path).description


def write_parameters(
    path: str | Path,
    parameters: Mapping[str, Array],
    *,
    description: Description | None = None,
    need_grad: Mapping[str, bool] | None = None,
) -> None:
    """Write an .h5 file that NNabla's own `load_parameters` reads; an old file stays whole until the new one is.

    Args:
        parameters: name -> values; the order is kept in the attribute `index`.
        need_grad: name -> trained or not; default: all but batch norm's running statistics.

    Raises:
        OutputError: the folder is not there or not writable, or the disk is full; an old file of that name survives.
    """
    path = Path(path)
    if path.suffix != ".h5":
        raise OutputError(f"{path}: parameters are written as .h5, not '{path.suffix}'")
    write_atomically(path, _hdf5(parameters, description, need_grad or {}))


def write_atomically(path: str | Path, content: bytes) -> None:
    """Put `content` in a temporary file beside `path`, on the disk for sure, then rename it.

    Raises:
        OutputError: it cannot be written; what was there under that name is untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        cure = "; free some space, the file of that name is as it was" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise OutputError(f"{path}: cannot be written: {error.strerror}{cure}") from error


def is_statistic(name: str) -> bool:
    """Whether a parameter is a running mean or variance, which no solver touches."""
    return name.endswith(("/bn/mean", "/bn/var"))


def _hdf5(parameters: Mapping[str, Array], description: Description | None, need_grad: Mapping[str, bool]) -> bytes:
    text = None if description is None else json.dumps(description)
    is_large = text is not None and len(text.encode()) > LARGE_ATTRIBUTE
    # In memory first: HDF5 on a full disk fails late and leaves its file open.
    with h5py.File("memory", "w", driver="core", backing_store=False, libver="latest" if is_large else None) as file:
        for index, (name, values) in enumerate(parameters.items()):
            dataset = file.create_dataset(name, data=np.asarray(values))
            dataset.attrs["need_grad"] = bool(need_grad.get(name, not is_statistic(name)))
            dataset.attrs["index"] = index
        if text is not None:
            file.attrs[DESCRIPTION] = text
        file.flush()
        image: bytes = file.id.get_file_image()
        return image


def _read_hdf5(content: bytes) -> ParameterFile:
    with h5py.File(io.BytesIO(content), "r") as file:
        found: list[tuple[int, str]] = []

        def visit(name: str, node: h5py.Dataset | h5py.Group) -> None:
            if isinstance(node, h5py.Dataset):
                found.append((int(node.attrs.get("index", len(found))), name))

        file.visititems(visit)
        names = [name for _, name in sorted(found)]
        parameters = {name: _numeric(name, file[name][...]) for name in names}
        need_grad = {name: bool(file[name].attrs.get("need_grad", not is_statistic(name))) for name in names}
        text = file.attrs.get(DESCRIPTION)
    return ParameterFile(parameters=parameters, need_grad=need_grad, description=_parsed(text))


def _read_protobuf(content: bytes) -> ParameterFile:
    from google.protobuf.message import DecodeError  # here, because all other files are read without NNabla
    from nnabla.utils import nnabla_pb2

    message = nnabla_pb2.NNablaProtoBuf()
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    parameters = {p.variable_name: np.array(p.data, np.float32).reshape(tuple(p.shape.dim)) for p in message.parameter}
    return ParameterFile(parameters=parameters, need_grad={p.variable_name: bool(p.need_grad) for p in message.parameter})


def _read_nnp(content: bytes) -> ParameterFile:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        inner = next(name for name in ("parameter.h5", "parameter.protobuf", "") if name in names or not name)
        if not inner:
            raise ValueError(f"no parameter.h5 or parameter.protobuf inside, only {', '.join(names)}")
        file = (_read_hdf5 if inner.endswith(".h5") else _read_protobuf)(archive.read(inner))
        entry = f"{DESCRIPTION}.json"
        text = archive.read(entry).decode() if entry in names else None
    return ParameterFile(parameters=file.parameters, need_grad=file.need_grad, description=_parsed(text))


def _numeric(name: str, values: Array) -> Array:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"'{name}' has type {values.dtype}, expected numbers")
    return values


def _parsed(text: str | None) -> Description | None:
    if text is None:
        return None
    description = json.loads(text)
    if not isinstance(description, dict):
        raise ValueError(f"the attribute '{DESCRIPTION}' is not a JSON object")
    return description
