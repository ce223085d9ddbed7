"""Downloads from a server that cuts, refuses, misleads or is not there."""

from __future__ import annotations

import fcntl
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.errors import OutputError, WeightsError
from centernet.weights import download as downloads
from centernet.weights.download import DownloadError, size_of_part

CONTENT = np.random.default_rng(0).bytes(300_000)
PATH = "/folder/file.bin"


def anything(path: Path) -> None:
    """Every file is right."""


def get(server: Any, target: Path, **options: Any) -> bool:
    return downloads.download(f"{server.url}{PATH}", target, **({"check": anything, "wait": lambda seconds: None} | options))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "file.bin"


@pytest.fixture(autouse=True)
def content(server: Any) -> None:
    server.files[PATH] = CONTENT


def test_a_file_arrives_whole_under_its_name_alone(server: Any, target: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    assert get(server, target, progress=lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["file.bin"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_file_that_is_there_is_not_asked_for(server: Any, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    assert not get(server, target)
    assert (target.read_bytes(), names(target.parent), server.seen) == (b"mine", ["file.bin"], [])


@pytest.mark.parametrize("version", [{"ETag": '"v1"'}, {"Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT"}, {}])
def test_a_cut_download_goes_on_where_it_ended(server: Any, target: Path, version: dict[str, str]) -> None:
    server.headers = version
    server.script = [{"cut": 100_000}, {"cut": 50_000}, {}]
    waits: list[float] = []
    assert get(server, target, wait=waits.append)
    assert target.read_bytes() == CONTENT
    assert [request.get("Range") for request in server.seen] == [None, "bytes=100000-", "bytes=150000-"]
    assert [request.get("If-Range") for request in server.seen[1:]] == [next(iter(version.values()), None)] * 2
    assert waits == [1.0, 2.0]


def test_a_download_that_was_stopped_goes_on_in_the_next_run(server: Any, target: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, target, progress=stop)
    size = size_of_part(target)
    assert size
    assert not target.exists()
    assert get(server, target)
    assert target.read_bytes() == CONTENT
    assert server.seen[1]["Range"] == f"bytes={size}-"
    assert names(target.parent) == ["file.bin"]
    assert size_of_part(target) is None


def test_what_arrived_before_a_server_stalls_is_on_the_disk(server: Any, target: Path) -> None:
    server.script = [{"cut": 1000, "stalls": True}]
    sizes: list[int | None] = []

    def look(done: int, total: int | None) -> None:
        sizes.append(size_of_part(target))
        if done == 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, target, progress=look)
    assert sizes[-1] == 1000
    server.resumed.set()
    assert size_of_part(target) == 1000
    assert get(server, target)
    assert server.seen[1]["Range"] == "bytes=1000-"
    assert target.read_bytes() == CONTENT


def test_a_server_that_ignores_the_range_sends_all_again(server: Any, target: Path) -> None:
    server.script = [{"cut": 100_000}, {"ignores_range": True}]
    assert get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_file_that_changed_in_between_is_not_patched_together(server: Any, target: Path) -> None:
    """With a version the server notices; without one the length does."""
    other = CONTENT[::-1] + b"more"
    for script in ([{"cut": 100_000, "headers": {"ETag": '"v1"'}}, {"headers": {"ETag": '"v2"'}}], [{"cut": 100_000}, {}, {}]):
        server.files[PATH] = CONTENT
        server.script = [{**script[0], "then": other}, *script[1:]]
        assert get(server, target)
        assert target.read_bytes() == other
        target.unlink()


def test_a_part_longer_than_the_file_is_dropped(server: Any, target: Path) -> None:
    target.parent.mkdir(parents=True)
    downloads._part_of(target).write_bytes(CONTENT + b"more")
    assert get(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again(server: Any, target: Path, status: int) -> None:
    server.script = [{"status": status}, {"status": status}, {}]
    assert get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_server_that_stays_in_trouble_is_left_alone_at_last(server: Any, target: Path, tmp_path: Path) -> None:
    server.script = [{"status": 500}] * 20
    with pytest.raises(DownloadError, match=rf"{PATH}: the server answers 500 .*, 6 times$"):
        get(server, target)
    assert len(server.seen) == 6
    assert names(tmp_path) == []


def test_what_arrived_is_kept_where_the_rest_cannot_be_had(server: Any, target: Path) -> None:
    server.script = [{"cut": 1_000}, *[{"status": 500}] * 5]
    with pytest.raises(DownloadError, match=r"500 .*, 6 times; 1000 bytes are here, and the same command goes on from there"):
        get(server, target)
    assert size_of_part(target) == 1_000
    assert not target.exists()


def test_a_file_that_is_not_there_is_asked_for_once(server: Any, target: Path, tmp_path: Path) -> None:
    del server.files[PATH]
    with pytest.raises(DownloadError, match=rf"{PATH}: the server answers 404 Not Found$"):
        get(server, target)
    assert len(server.seen) == 1
    assert names(tmp_path) == []


def test_a_server_that_cannot_be_reached_is_said_at_once(target: Path, tmp_path: Path, server: Any) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DownloadError, match=r"127\.0\.0\.1:\d+/folder/file\.bin: cannot be reached: .*refused"):
            get(server, target)
    assert names(tmp_path) == []


def test_a_file_that_the_check_refuses_leaves_nothing(server: Any, target: Path, tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        assert path.read_bytes() == CONTENT
        raise WeightsError("not this one")

    with pytest.raises(WeightsError, match="not this one"):
        get(server, target, check=refuse)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_said(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/below: cannot be made: Not a directory"):
        get(server, tmp_path / "file" / "below" / "x.h5")


class Second:
    """Another download of the same file; `results`: what it answered."""

    def __init__(self, server: Any, target: Path, is_waiting: threading.Event) -> None:
        self.results: list[bool] = []
        self._thread = threading.Thread(target=lambda: self.results.append(get(server, target)))
        self._is_waiting = is_waiting

    def wait_behind(self) -> None:
        """Start it, and go on when it waits for the first one's lock."""
        if not self._thread.ident:
            self._thread.start()
            assert self._is_waiting.wait(240)

    def end(self) -> list[bool]:
        self._thread.join(240)
        return self.results


@pytest.fixture
def second(server: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> Second:
    flock, locks, is_waiting = fcntl.flock, [], threading.Event()

    def counted(file: Any, operation: int) -> None:
        locks.append(operation)
        if len(locks) == 2:
            is_waiting.set()
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", counted)
    return Second(server, target, is_waiting)


def test_of_two_at_once_one_downloads_and_the_other_waits_for_it(server: Any, target: Path, second: Second) -> None:
    assert get(server, target, progress=lambda done, total: second.wait_behind())
    assert second.end() == [False]
    assert len(server.seen) == 1
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["file.bin"]


def test_a_waiting_one_takes_over_from_one_that_failed(server: Any, target: Path, second: Second) -> None:
    """The one that failed takes the empty part and its folder away, under the lock the other waits for."""

    def refuse(path: Path) -> None:
        second.wait_behind()
        raise WeightsError("not this one")

    with pytest.raises(WeightsError, match="not this one"):
        get(server, target, check=refuse)
    assert second.end() == [True]
    assert names(target.parent) == ["file.bin"]


def test_the_proxy_of_the_environment_is_used(server: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", server.url)
    server.url = "http://published.invalid"
    server.files[f"http://published.invalid{PATH}"] = CONTENT
    assert get(server, target)
    assert target.read_bytes() == CONTENT
