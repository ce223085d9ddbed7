"""Parsed annotations on disk, so that a data set is parsed once for all later runs and processes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from centernet.data.tables import AnnotationTable
from centernet.structures import Array

LOG = logging.getLogger(__name__)
FORMAT = 1  # raised whenever the arrays of `AnnotationTable` change their meaning


def cached_table(source: str, files: Sequence[Path], parse: Callable[[], AnnotationTable]) -> AnnotationTable:
    """`parse()`, or what it returned when these same files were read before.

    The cache is one file per source in `$XDG_CACHE_HOME/centernet` (default `~/.cache/centernet`): a data folder is often
    read-only or shared, so nothing is written there. It is used only while path, size and modification time of every file
    are what they were. Of several processes one parses and the others wait for it. A cache that cannot be read or written
    costs time, never the run.

    Args:
        source: the name of the data in messages and in the cache; usually the path.
        files: all files the content depends on.
        parse: reads them.
    """
    key = _key(files)
    folder = cache_folder()
    path = folder / f"{Path(source).stem}-{hashlib.sha256(source.encode()).hexdigest()[:16]}.npz"
    table = _load(path, source, key)
    if table is not None:
        return table
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        LOG.warning("%s: parsed annotations cannot be kept: %s", folder, error)
        return parse()
    with exclusive(path.with_suffix(".lock")):
        table = _load(path, source, key)  # another process may have been faster
        if table is None:
            LOG.info("%s: parsing the annotations, once", source)
            table = parse()
            _store(path, table, key)
    return table


@contextmanager
def exclusive(lock_path: Path) -> Iterator[None]:
    """Hold the file's lock: one process at a time, released by the system even when the holder is killed.

    Where the file system cannot lock, nobody waits; what the lock guards must stay correct (only slower) without it.
    """
    try:
        file = lock_path.open("a")
    except OSError:
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            LOG.debug("%s: no lock to be had: %s", lock_path, error)
        yield


def lock_for(path: Path) -> Path:
    """Where to lock what is being made at `path`: in the cache's folder, so that nothing is left beside the data."""
    with contextlib.suppress(OSError):
        cache_folder().mkdir(parents=True, exist_ok=True)
    return cache_folder() / f"{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]}.lock"


def cache_folder() -> Path:
    """Where this user keeps what can be made again: `$XDG_CACHE_HOME/centernet`, default `~/.cache/centernet`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "centernet"


def _key(files: Sequence[Path]) -> Array:
    """Sixteen bytes that change when a file does."""
    digest = hashlib.sha256(str(FORMAT).encode())
    for file in files:
        status = file.stat()
        digest.update(f"{file.absolute()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return np.frombuffer(digest.digest()[:16], np.uint8)


def _load(path: Path, source: str, key: Array) -> AnnotationTable | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if not np.array_equal(arrays["key"], key):
                return None
            return AnnotationTable.from_arrays(source, arrays)
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        LOG.warning("%s: the cached annotations are unusable and are made again: %s", path, error)
        return None


def _store(path: Path, table: AnnotationTable, key: Array) -> None:
    """Write to a temporary file and rename it, so that no process ever reads half a cache."""
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".partial")
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, key=key, **table.to_arrays())
        os.replace(temporary, path)
    except OSError as error:
        LOG.warning("%s: parsed annotations cannot be kept: %s", path, error)
        if temporary:
            Path(temporary).unlink(missing_ok=True)
