"""The pickles inside PyTorch's files, read with an allow-list: nothing that a pickle names is ever imported or run.

A pickle is a program. This one may only ask for what a state dict needs (`ALLOWED`), and each of those names stands
for a harmless function of this module; anything else is refused with the name it asked for.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any, BinaryIO

MAX_PICKLE = 256 << 20  # bytes; the values lie outside, so a pickle of a hundred thousand tensors is far below
DAMAGED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)  # what reading a damaged pickle raises


class Refused(Exception):
    """A pickle asked for a name beyond the allow-list; the text is that name."""


@dataclass(frozen=True)
class StorageType:
    """How the numbers of a storage are stored: NumPy's code without byte order; bfloat16 has none of its own."""

    code: str
    is_bfloat16: bool = False


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A run of `size` numbers, whose values are elsewhere in the file under `key`; a view begins at `first`."""

    key: str
    type: StorageType
    size: int
    first: int = 0


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A window on a storage; offset and strides are in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class StateDict(OrderedDict[str, Any]):
    """Takes, and forgets, the attribute `_metadata` that PyTorch's state dicts carry."""

    def __setstate__(self, state: object) -> None:
        """Called by the pickle's BUILD."""


class Inert:
    """Stands for a value beside the state dict, of which nothing is kept."""

    def __setstate__(self, state: object) -> None:
        """Called by the pickle's BUILD."""


def load(stream: BinaryIO, storages: dict[str, StorageType] | None = None) -> object:
    """The object pickled at the stream's position, which moves to just behind it; tensors are `Tensor`.

    Args:
        storages: gets the type of every storage that the pickle speaks of, by key.

    Raises:
        Refused: it asks for a name that no state dict needs.
        ValueError, and others of `DAMAGED`: it is cut off, or no pickle.
    """
    start = stream.tell()
    length = _checked_length(stream)
    stream.seek(start)
    return _Unpickler(io.BytesIO(stream.read(length)), {} if storages is None else storages).load()


def _checked_length(stream: BinaryIO) -> int:
    """Bytes up to the end of the pickle. Python's unpickler makes room for any number a damaged memo operation names."""
    start = stream.tell()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pickletools' words about odd escapes in damaged text
        for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
            if stream.tell() - start > MAX_PICKLE:
                raise ValueError(f"its pickle is longer than {MAX_PICKLE} bytes")
            if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) <= count:
                raise ValueError(f"its pickle stores under number {argument} after {count} operations")
    return stream.tell() - start


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, storages: dict[str, StorageType]) -> None:
        super().__init__(stream, encoding="utf-8")
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        found = ALLOWED.get((module, name))
        if found is None:
            raise Refused(f"{module}.{name}")
        return _own_copy(found)

    def persistent_load(self, identifier: Any) -> Storage:
        kind, storage_type, key, _, size, *view = identifier
        if kind != "storage" or not isinstance(storage_type, StorageType):
            raise ValueError(f"unknown persistent object {kind!r}")
        self._storages[str(key)] = storage_type
        if view and view[0] is not None:
            _, first, length = view[0]
            return Storage(key=str(key), type=storage_type, size=_count(first) + _count(length), first=_count(first))
        return Storage(key=str(key), type=storage_type, size=_count(size))


def _own_copy(found: StorageType | str | Callable[..., Any]) -> Any:
    """The same for one pickle alone: its operation BUILD can set attributes of what it is given."""
    if isinstance(found, StorageType):
        return replace(found)
    if isinstance(found, FunctionType):
        return lambda *arguments: found(*arguments)
    return found


def _tensor(storage: object, offset: object, shape: object, strides: object, *rest: object) -> Tensor:
    """`_rebuild_tensor_v2`: `rest` is about gradients."""
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise TypeError("a tensor without storage, shape or strides")
    if len(shape) != len(strides):
        raise ValueError(f"a tensor of shape {shape} with strides {strides}")
    return Tensor(storage=storage, offset=_count(offset), shape=tuple(map(_count, shape)), strides=tuple(map(_count, strides)))


def _parameter(data: object, *rest: object) -> object:
    return data


def _size(values: tuple[int, ...] = ()) -> tuple[int, ...]:
    return tuple(values)


def _device(*names: object) -> str:
    return ":".join(map(str, names))


def _inert(*arguments: object) -> Inert:
    return Inert()


def _bytes(text: object, encoding: object = "latin1") -> bytes:
    """How Python 3 writes bytes in a pickle that Python 2 could read."""
    if not isinstance(text, str) or encoding != "latin1":
        raise TypeError("bytes that are not written as characters")
    return text.encode("latin1")


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"found {value!r} where a count belongs")
    return value


STORAGES = {
    "DoubleStorage": StorageType("f8"),
    "FloatStorage": StorageType("f4"),
    "HalfStorage": StorageType("f2"),
    "BFloat16Storage": StorageType("u2", is_bfloat16=True),
    "LongStorage": StorageType("i8"),
    "IntStorage": StorageType("i4"),
    "ShortStorage": StorageType("i2"),
    "CharStorage": StorageType("i1"),
    "ByteStorage": StorageType("u1"),
    "BoolStorage": StorageType("?"),
}
DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"),
    *("complex64", "complex128", "quint8", "qint8", "qint32"),
)
ALLOWED: Mapping[tuple[str, str], StorageType | str | Callable[..., Any]] = {
    ("collections", "OrderedDict"): StateDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
    # Values that training scripts leave beside the state dict: NumPy's scalars, PyTorch's types of numbers.
    ("_codecs", "encode"): _bytes,
    ("numpy", "dtype"): _inert,
    ("numpy.core.multiarray", "scalar"): _inert,
    ("numpy._core.multiarray", "scalar"): _inert,
    **{("torch", name): f"torch.{name}" for name in DTYPES},
    **{(module, name): storage for module in ("torch", "torch.cuda") for name, storage in STORAGES.items()},
}
