"""What all tests share: where the reference numbers and the real data are, a clean NNabla for each test, PyTorch's checkpoints."""

from __future__ import annotations

import io
import os
import pickle
import signal
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def _outside(variable: str, default: Path, what: str) -> Path:
    folder = Path(os.environ.get(variable) or default)
    if not folder.is_dir():
        pytest.skip(f"no {what}: set {variable}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """A shell that starts the tests in the background has Ctrl-C ignored, also by all that they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of golden numbers made by running the original systems."""
    return _outside("CENTERNET_REFERENCE", ROOT.parent / "shared" / "reference", "reference numbers")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that holds the real data set `bccd`."""
    return _outside("CENTERNET_DATA", ROOT.parent / "shared" / "data", "real data")


@pytest.fixture(autouse=True)
def clean_nnabla() -> Iterator[None]:
    """NNabla keeps parameters in a global store; no test may see another's."""
    yield
    if "nnabla" in sys.modules:
        import nnabla as nn

        nn.clear_parameters()


@pytest.fixture(scope="session")
def read_events() -> Callable[[Path], dict[str, list[tuple[int, Any]]]]:
    """What TensorBoard shows of a folder of event files: tag -> (step, number), or (step, PNG file), in the order they were written.

    As there, files are read by name, a file's entry for a start makes what was read before of its step and later ones forgotten,
    and a checksum that is wrong is an error.
    """
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.record_writer import masked_crc32c

    def records(path: Path) -> Iterator[bytes]:
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            data = content[12 : 12 + length]
            assert struct.unpack("<I", content[8:12]) == (masked_crc32c(content[:8]),)
            assert struct.unpack("<I", content[12 + length : 16 + length]) == (masked_crc32c(data),)
            yield data
            content = content[16 + length :]

    def read(folder: Path) -> dict[str, list[tuple[int, Any]]]:
        found: dict[str, list[tuple[int, Any]]] = {}
        for path in sorted(folder.glob("*tfevents*")):
            for event in map(Event.FromString, records(path)):
                if event.HasField("session_log") and event.session_log.status == SessionLog.START:
                    found = {tag: [value for value in values if value[0] < event.step] for tag, values in found.items()}
                for value in event.summary.value:
                    content = value.image.encoded_image_string if value.HasField("image") else value.simple_value
                    found.setdefault(value.tag, []).append((event.step, content))
        return found

    return read


# Checkpoints as PyTorch writes them, written without PyTorch: both formats, any object beside the tensors.
STORAGE_NAMES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
}


class FakeTensor:
    """An array that is pickled as a tensor; `storage_name` where the type of the array does not tell it."""

    def __init__(self, values: Any, storage_name: str = "") -> None:
        self.values = np.ascontiguousarray(values).reshape(np.shape(values))
        self.storage_name = storage_name or STORAGE_NAMES[self.values.dtype.name]
        self.shape = self.values.shape  # like the strides in elements, to be made wrong by a test
        self.strides = tuple(stride // self.values.itemsize for stride in self.values.strides)


class Global:
    """Pickled as the plain name of a class or function, or as its call where there are arguments."""

    def __init__(self, module: str, name: str, arguments: tuple[Any, ...] | None = None) -> None:
        self.module, self.name, self.arguments = module, name, arguments


class _Stored:
    def __init__(self, tensor: FakeTensor, key: str) -> None:
        self.tensor, self.key = tensor, key


class _Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Python's own pickler, whose methods can be replaced: names of torch are written, not looked up."""

    def __init__(self, stream: Any, *, legacy: bool) -> None:
        super().__init__(stream, protocol=2)
        self.legacy = legacy
        self.stored: dict[str, FakeTensor] = {}

    def persistent_id(self, item: Any) -> Any:
        if not isinstance(item, _Stored):
            return None
        identifier = ("storage", Global("torch", item.tensor.storage_name), item.key, "cpu", item.tensor.values.size)
        return (*identifier, None) if self.legacy else identifier

    def save(self, item: Any, save_persistent_id: bool = True) -> Any:
        if isinstance(item, Global):
            self.write(f"c{item.module}\n{item.name}\n".encode())
            if item.arguments is not None:
                self.save(item.arguments)
                self.write(pickle.REDUCE)
            return None
        if isinstance(item, FakeTensor):
            key = str(len(self.stored))
            self.stored[key] = item
            self.save(Global("torch._utils", "_rebuild_tensor_v2"))
            self.save((_Stored(item, key), 0, item.shape, item.strides, False, {}))
            return self.write(pickle.REDUCE)
        return super().save(item, save_persistent_id)


def _write_zip(path: Path, content: object) -> None:
    stream = io.BytesIO()
    pickler = _Pickler(stream, legacy=False)
    pickler.dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        for key, tensor in pickler.stored.items():
            archive.writestr(f"archive/data/{key}", tensor.values.tobytes())
        archive.writestr("archive/version", "3\n")


def _write_legacy(path: Path, content: object) -> None:
    with open(path, "wb") as stream:
        for header in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(header, stream, protocol=2)
        pickler = _Pickler(stream, legacy=True)
        pickler.dump(content)
        pickle.dump(sorted(pickler.stored), stream, protocol=2)
        for key in sorted(pickler.stored):
            values = pickler.stored[key].values
            stream.write(values.size.to_bytes(8, "little") + values.tobytes())


@pytest.fixture(params=["zip", "legacy"])
def write_torch(request: pytest.FixtureRequest) -> Callable[[Path, object], None]:
    """Writes an object as `torch.save` does: since 1.6, and before."""
    return {"zip": _write_zip, "legacy": _write_legacy}[request.param]


@pytest.fixture(scope="session")
def tensor() -> type[FakeTensor]:
    """Makes an array something that is written as a tensor."""
    return FakeTensor


@pytest.fixture(scope="session")
def torch_name() -> type[Global]:
    """Makes a module and a name something that is written as the object of that name, or as a call of it."""
    return Global
