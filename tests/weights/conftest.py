"""Checkpoints as PyTorch writes them, written without PyTorch: both formats, any object beside the tensors. And a file server."""

from __future__ import annotations

import io
import pickle
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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


class FileServer(ThreadingHTTPServer):
    """Serves `files` (path → bytes), and does what `script` says, one entry for each request.

    An entry may have: status; cut: bytes after which the connection ends; ignores_range; headers: more of them;
    then: the file's bytes from the next request on. seen: each request's headers.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FileHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}
        self.script: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.seen: list[dict[str, str]] = []


class FileHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append(dict(self.headers.items()))
        step = server.script.pop(0) if server.script else {}
        status, content = step.get("status", 200), server.files.get(self.path)
        if status != 200 or content is None:
            self.send_error(404 if status == 200 else status)
            return
        headers = {**server.headers, **step.get("headers", {})}
        start = 0 if step.get("ignores_range") else self._start(headers)
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        for name, value in {**headers, "Content-Length": str(len(content) - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        server.files[self.path] = step.get("then", content)
        self.wfile.write(content[start : start + step.get("cut", len(content))])

    def _start(self, headers: dict[str, str]) -> int:
        """Where the answer begins; from the start where the file is not the one that the client has a part of."""
        version = self.headers.get("If-Range")
        if version and version not in headers.values():
            return 0
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *arguments: object) -> None:
        """Silent."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server on this machine, reached without the proxies that the environment may have."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with FileServer() as started:
        threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield started
        started.shutdown()
