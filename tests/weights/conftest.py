"""A file server for downloads that go wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class FileServer(ThreadingHTTPServer):
    """Serves `files` (path → bytes), and does what `script` says, one entry for each request.

    An entry may have: status; cut: bytes after which the connection ends; ignores_range; headers: more of them;
    then: the file's bytes from the next request on; stalls: nothing more comes after a cut until `resumed` is set.
    seen: each request's headers.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FileHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}
        self.script: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        self.seen: list[dict[str, str]] = []
        self.resumed = threading.Event()


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
        if step.get("stalls"):
            self.wfile.flush()
            server.resumed.wait()

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
        started.resumed.set()
        started.shutdown()
