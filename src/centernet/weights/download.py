"""Get a file over HTTP: what arrived before a cut is kept and gone on from, and only a whole file gets its name."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, NoReturn

from centernet.errors import OutputError, WeightsError

ATTEMPTS = 6
FIRST_WAIT = 1.0  # seconds; doubled before every further attempt
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 16  # bytes
AGAIN = (408, 425, 429, 500, 502, 503, 504)  # answers that may be others in a moment
RANGE_NOT_SATISFIABLE = 416
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

Progress = Callable[[int, "int | None"], None]  # bytes that are here, and of how many if that is known


class DownloadError(WeightsError):
    """The file cannot be had from there."""


class _Again(Exception):
    """The attempt failed in a way that another may not."""


class _Refused(Exception):
    """The attempt failed for good."""


def download(
    url: str,
    target: Path,
    *,
    check: Callable[[Path], None],
    progress: Progress | None = None,
    wait: Callable[[float], None] = time.sleep,
    timeout: float = TIMEOUT,
) -> bool:
    """Get `target` from `url`, unless it is there; proxies are those of the environment.

    While it arrives it is `.STEM.part.SUFFIX` beside the target, which one process at a time writes; others wait for it.

    Args:
        check: is given the whole file before it gets its name, and raises where it must not.
        progress: called as bytes arrive.
        wait: between attempts.

    Returns:
        Whether it was downloaded; False: it was there, or another process has just got it.

    Raises:
        DownloadError: it cannot be had, the text says why. OutputError: it cannot be written. What `check` raises.
    """
    made = _make_folder(target.parent)
    part = _part_of(target)
    try:
        with _alone(part) as file:
            if target.exists():
                _remove(part)
                return False
            try:
                _receive(url, file, progress or (lambda done, total: None), wait, timeout)
                _finish(file, part, target, check)
            finally:
                if not os.fstat(file.fileno()).st_size:
                    _remove(part)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        for folder in made:  # they stay where something is in them
            with contextlib.suppress(OSError):
                folder.rmdir()
    return True


def size_of_part(target: Path) -> int | None:
    """Bytes of `target` that an earlier download left; None: it left nothing."""
    part = _part_of(target)
    return part.stat().st_size if part.is_file() else None


def _part_of(target: Path) -> Path:
    return target.with_name(f".{target.stem}.part{target.suffix}")


def _facts_of(part: Path) -> Path:
    """What tells whether the rest still belongs to the part."""
    return part.with_name(f"{part.name}.json")


def _remove(part: Path) -> None:
    for path in (part, _facts_of(part)):
        path.unlink(missing_ok=True)


def _make_folder(folder: Path) -> list[Path]:
    """The folders that were not there before, innermost first."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    return missing


@contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """The partial file, once no other process has it; its lock ends with the process, whatever ends that."""
    while True:
        part.parent.mkdir(parents=True, exist_ok=True)  # whoever had it may have taken away its folder
        try:
            file = part.open("a+b")
        except FileNotFoundError:
            continue
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_named(part, file):
                yield file
                return


def _is_named(part: Path, file: IO[bytes]) -> bool:
    """Whether the open file still has that name: it loses it when it is complete or taken away."""
    try:
        return os.path.samestat(part.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _receive(url: str, file: IO[bytes], progress: Progress, wait: Callable[[float], None], timeout: float) -> None:
    """Attempt after attempt, until the file is whole."""
    facts = _facts_of(Path(file.name))
    for attempt in range(ATTEMPTS):
        if attempt:
            wait(FIRST_WAIT * 2 ** (attempt - 1))
        try:
            _attempt(url, file, facts, progress, timeout)
        except _Again as error:
            reason = str(error)
        except _Refused as error:
            raise DownloadError(f"{url}: {error}") from error.__cause__
        else:
            facts.unlink(missing_ok=True)
            return
    size = file.seek(0, os.SEEK_END)
    kept = f"; {size} bytes are here, and the same command goes on from there" if size else ""
    raise DownloadError(f"{url}: {reason}, {ATTEMPTS} times{kept}")


def _attempt(url: str, file: IO[bytes], facts: Path, progress: Progress, timeout: float) -> None:
    done, known = file.seek(0, os.SEEK_END), _read_facts(facts)
    request = urllib.request.Request(url, headers=_headers(done, known))
    try:
        response = urllib.request.build_opener().open(request, timeout=timeout)  # anew: it reads the proxies
    except urllib.error.HTTPError as error:
        _refuse(error, file)
    except urllib.error.URLError as error:
        raise _Refused(f"cannot be reached: {getattr(error.reason, 'strerror', None) or error.reason}") from error
    except (OSError, HTTPException) as error:
        raise _Again(f"the connection was lost: {error or type(error).__name__}") from error
    with response:
        done, total = _begin(response, file, done, known)
        _write_facts(facts, response, total)
        while (total is None or done < total) and (chunk := _read(response)):
            file.write(chunk)
            file.flush()  # what arrived stays, whatever ends this process
            done += len(chunk)
            progress(done, total)
        if total is not None and done < total:
            raise _Again(f"the connection ended after {done} of {total} bytes")
        if total is not None and done > total:
            file.truncate(0)
            raise _Again(f"{done} bytes came instead of {total}")


def _headers(done: int, known: dict[str, Any]) -> dict[str, str]:
    headers = {"User-Agent": "centernet", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
        if known.get("version"):
            headers["If-Range"] = known["version"]
    return headers


def _refuse(error: urllib.error.HTTPError, file: IO[bytes]) -> NoReturn:
    error.close()
    text = f"the server answers {error.code} {error.reason}"
    if error.code == RANGE_NOT_SATISFIABLE:  # the part is of another file
        file.truncate(0)
    if error.code in (*AGAIN, RANGE_NOT_SATISFIABLE):
        raise _Again(text) from error
    raise _Refused(text) from error


def _begin(response: Any, file: IO[bytes], done: int, known: dict[str, Any]) -> tuple[int, int | None]:
    """How many bytes are here before the answer's, and how many it will be with them; a part the answer does not go on is dropped."""
    length = response.headers.get("Content-Length")
    if response.status != 206:
        file.truncate(0)
        return 0, int(length) if length else None
    match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    total = int(match[2]) if match and match[2] != "*" else None
    if match is None or int(match[1]) != done or (known.get("total") or total) != total:
        file.truncate(0)
        raise _Again("the server answers with another part than the one asked for")
    return done, total


def _read(response: Any) -> bytes:
    """What has arrived, without waiting for more; nothing at the end."""
    try:
        chunk: bytes = response.read1(CHUNK)
    except (OSError, HTTPException) as error:
        raise _Again(f"the connection was lost: {error or type(error).__name__}") from error
    return chunk


def _finish(file: IO[bytes], part: Path, target: Path, check: Callable[[Path], None]) -> None:
    os.fsync(file.fileno())
    try:
        check(part)
    except WeightsError:
        file.truncate(0)
        raise
    os.replace(part, target)


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_facts(path: Path, response: Any, total: int | None) -> None:
    """The version by which a server recognises the file: a strong ETag, or when it was changed."""
    tag = response.headers.get("ETag", "")
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified")
    path.write_text(json.dumps({"version": version, "total": total}))
