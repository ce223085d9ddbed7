"""The pickles inside PyTorch's files, read with an allow-list: nothing that a pickle names is ever imported or run.

A pickle is a program. This one may only ask for what a state dict needs (`ALLOWED`), and each of those names stands
for a harmless function of this module; anything else is refused with the name it asked for.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
        return found

    def persistent_load(self, identifier: Any) -> Storage:
        kind, storage_type, key, _, size, *view = identifier
        if kind != "storage" or not isinstance(storage_type, StorageType):
            raise ValueError(f"unknown persistent object {kind!r}")
        self._storages[str(key)] = storage_type
        if view and view[0] is not None:
            _, first, length = view[0]
            return Storage(key=str(key), type=storage_type, size=_count(first) + _count(length), first=_count(first))
        return Storage(key=str(key), type=storage_type, size=_count(size))


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
ALLOWED: Mapping[tuple[str, str], StorageType | Callable[..., Any]] = {
    ("collections", "OrderedDict"): StateDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
    **{(module, name): storage for module in ("torch", "torch.cuda") for name, storage in STORAGES.items()},
}
