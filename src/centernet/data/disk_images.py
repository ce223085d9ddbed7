"""Images kept in a folder, for later runs too: for data whose own disk is slow."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import struct
import threading
import time
import zlib
from pathlib import Path

from centernet.data.brief_lock import briefly_locked
from centernet.data.image_store import Filling, Kept, Origin
from centernet.data.memory_file import Flag
from centernet.errors import OutputError

LOG = logging.getLogger(__name__)
_HEADER = struct.Struct("=8sqqqIII4x")  # mark, bytes and time of the file, bytes kept, height, width, checksum of the bytes kept
_MARK = b"CNImage1"
_USAGE = "usage"  # the file with the number of bytes taken; its lock is the folder's
_PARTIAL = ".partial"
_ABANDONED = 3600.0  # seconds after which a file that is being written is taken for left behind
_UNUSED = 86400.0  # seconds after which another data set may be thrown out
_TOUCH = 3600.0  # seconds between notes that a data set is in use


def entry_bytes(num_bytes: int) -> int:
    """What an image of so many bytes takes."""
    return _HEADER.size + num_bytes


class DiskStore:
    """A file per image in a folder per folder of images; complete files only, since they are renamed when they are.

    The bytes taken are counted under a lock in the folder, so runs side by side and one after the other keep to the budget
    together. When it is reached, image folders that nobody used for a day go; there is no exchange within one.
    """

    def __init__(self, folder: Path, budget: int, form: str, is_broken: Flag | None = None) -> None:
        """Use a folder made by `open`.

        Args:
            folder: absolute.
            budget: bytes of all files in it.
            form: what is kept; one image can be kept in each form.
            is_broken: set when nothing more can be kept; None: a new one.
        """
        self.folder, self.budget, self.form = folder, budget, form
        self._touched: dict[Path, float] = {}
        self._is_broken = Flag.create() if is_broken is None else is_broken

    @classmethod
    def open(cls, folder: Path, budget: int, form: str) -> DiskStore:
        """Make the folder if need be, remove what killed processes left, and count what is there.

        Raises:
            OutputError: it cannot be written to.
        """
        store = cls(folder, budget, form)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _USAGE).touch()
            with briefly_locked(folder / _USAGE) as is_locked:
                if is_locked:
                    _remove_abandoned(folder)
                    store._note(_bytes_in(folder))
        except OSError as error:
            raise OutputError(f"data.cache.folder: {folder}: cannot be written to: {error.strerror or error}") from error
        return store

    @classmethod
    def attach(cls, handle: str) -> DiskStore:
        """The store of another process of this machine."""
        folder, budget, form, is_broken = json.loads(handle)
        return cls(Path(folder), budget, form, Flag.attach(is_broken))

    def handle(self) -> str:
        """What `attach` takes."""
        return json.dumps([str(self.folder), self.budget, self.form, self._is_broken.handle()])

    def get(self, key: int, origin: Origin) -> Kept | None:
        """See `Store`."""
        path = self._path(origin)
        self._touch(path.parent)
        try:
            with open(path, "rb", buffering=0) as file:
                data = memoryview(file.read())
        except OSError:
            return None
        if len(data) < _HEADER.size:
            return None
        mark, num_bytes, modified, length, height, width, checksum = _HEADER.unpack_from(data)
        kept = data[_HEADER.size :]
        is_right = (mark, num_bytes, modified, length) == (_MARK, origin.num_bytes, origin.modified, len(kept))
        return Kept(kept, (height, width)) if is_right and checksum == zlib.crc32(kept) else None

    def put(self, key: int, origin: Origin, image: Kept) -> bool:
        """See `Store`."""
        if self._is_broken:
            return False
        header = _HEADER.pack(_MARK, origin.num_bytes, origin.modified, len(image.data), *image.size, zlib.crc32(image.data))
        path = self._path(origin)
        partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{_PARTIAL}")
        try:
            if not self._reserve(partial, path, origin, len(header) + len(image.data)):
                return False
            with open(partial, "r+b", buffering=0) as file:
                file.write(header)
                is_written = file.write(image.data) == len(image.data)
            if is_written:
                os.replace(partial, path)
        except OSError as error:
            if self._is_broken.set():
                LOG.warning("%s: no more images are kept: %s", self.folder, error)
            is_written = False
        if not is_written:
            self._give_back(partial)
        return is_written

    def filling(self) -> Filling:
        """See `Store`; images and bytes of all data sets that share the folder."""
        num_images = sum(entry.name.endswith(f".{self.form}") for group in _groups(self.folder) for entry in _entries(group))
        return Filling(num_images, self._used(), self.budget)

    def _reserve(self, partial: Path, path: Path, origin: Origin, num_bytes: int) -> bool:
        """Make `partial`, so large, where the budget allows it and no other process was faster; a damaged or old entry goes."""
        with briefly_locked(self.folder / _USAGE) as is_locked:
            if not is_locked or self.get(0, origin) is not None:
                return False
            used = self._used()
            with contextlib.suppress(FileNotFoundError):
                old = path.stat().st_size
                path.unlink()
                used -= old
            if used + num_bytes > self.budget:
                used = self._thrown_out(used, num_bytes, path.parent)
            has_room = used + num_bytes <= self.budget
            self._note(used + num_bytes if has_room else used)  # first, so that a process killed here makes it too much, not too little
            if has_room:
                path.parent.mkdir(exist_ok=True)
                with open(partial, "xb") as file:
                    file.truncate(num_bytes)  # as large as it will be, for a process that counts anew
            return has_room

    def _thrown_out(self, used: int, num_bytes: int, own: Path) -> int:
        """Bytes taken after image folders that nobody uses are gone, the longest unused first, until there is room."""
        before = time.time() - _UNUSED
        idle = sorted((group.stat().st_mtime, group) for group in _groups(self.folder) if group != own)
        for last_use, group in idle:
            if used + num_bytes <= self.budget or last_use > before:
                break
            LOG.info("%s: removed, to make room for the images of %s", group, own.name)
            shutil.rmtree(group, ignore_errors=True)
            used = _bytes_in(self.folder)
        return used

    def _give_back(self, partial: Path) -> None:
        with contextlib.suppress(OSError), briefly_locked(self.folder / _USAGE) as is_locked:
            num_bytes = partial.stat().st_size
            partial.unlink()
            if is_locked:
                self._note(self._used() - num_bytes)

    def _path(self, origin: Origin) -> Path:
        parent, name = os.path.split(os.path.abspath(origin.path))
        group = f"{os.fsdecode(os.path.basename(parent))}-{hashlib.sha256(parent).hexdigest()[:12]}"
        return self.folder / group / f"{hashlib.sha256(name).hexdigest()[:32]}.{self.form}"

    def _touch(self, group: Path) -> None:
        now = time.monotonic()
        if now - self._touched.get(group, -_TOUCH) >= _TOUCH:
            self._touched[group] = now
            with contextlib.suppress(OSError):
                os.utime(group)

    def _used(self) -> int:
        text = ""
        with contextlib.suppress(FileNotFoundError):  # the folder was removed meanwhile
            text = (self.folder / _USAGE).read_text()
        return int(text) if text.isdigit() else _bytes_in(self.folder)

    def _note(self, used: int) -> None:
        with open(self.folder / _USAGE, "r+b", buffering=0) as file:
            file.write(b"%020d" % max(used, 0))  # always as long, so that nothing of the old number stays

    def __reduce__(self) -> tuple[type[DiskStore], tuple[Path, int, str, Flag]]:
        return DiskStore, (self.folder, self.budget, self.form, self._is_broken)


def _groups(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """None where the folder is gone: another process may make room, or a user clear his caches."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _bytes_in(folder: Path) -> int:
    total = 0
    for group in _groups(folder):
        for entry in _entries(group):
            with contextlib.suppress(FileNotFoundError):  # another process renames at this moment
                total += entry.stat(follow_symlinks=False).st_size
    return total


def _remove_abandoned(folder: Path) -> None:
    before = time.time() - _ABANDONED
    for group in _groups(folder):
        for partial in group.glob(f"*{_PARTIAL}"):
            with contextlib.suppress(FileNotFoundError):
                if partial.stat().st_mtime < before:
                    partial.unlink()
