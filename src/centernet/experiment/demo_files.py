"""The files of a demo in a folder that may hold those of earlier runs: an error leaves it as it was."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from centernet.errors import OutputError


class ResultFiles:
    """Files written under their own names, while earlier ones of those names wait in a hidden folder beside them.

    A run ends with `keep`, or with `undo`; one that is killed leaves the hidden folder with what it had put there.
    """

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: exists and can be written to.
        """
        self._folder = folder
        self._written: dict[Path, Path | None] = {}  # by path the earlier file's place, if there was one
        self._earlier: Path | None = None

    def begin(self, file_name: str) -> Path:
        """Where to write a file; an earlier one is out of the way. OutputError where the folder does not take that."""
        path = self._folder / file_name
        if path in self._written:
            return path
        try:
            self._written[path] = self._put_aside(path) if path.is_file() else None
        except OSError as error:
            raise OutputError(f"{path}: cannot be replaced: {error.strerror}") from None
        return path

    def keep(self) -> None:
        """The run's files take the earlier ones' places for good."""
        self._written.clear()
        self._remove_earlier()

    def undo(self) -> None:
        """What the run wrote goes, what was there before comes back."""
        for path, earlier in self._written.items():
            if earlier is not None:
                earlier.replace(path)
            elif path.is_file():
                path.unlink()
        self.keep()

    def _put_aside(self, path: Path) -> Path:
        if self._earlier is None:
            self._earlier = Path(tempfile.mkdtemp(prefix=".earlier-", dir=self._folder))
        return path.replace(self._earlier / path.name)

    def _remove_earlier(self) -> None:
        if self._earlier is not None:
            shutil.rmtree(self._earlier, ignore_errors=True)
            self._earlier = None


class SourceFiles:
    """The files that a demo reads, none of which may be replaced."""

    def __init__(self, paths: tuple[Path, ...] = ()) -> None:
        self._ids = {_identity(path) for path in paths} - {None}

    def check(self, target: Path) -> None:
        """OutputError where a file to write is one of them."""
        if _identity(target) in self._ids:
            raise OutputError(f"{target}: would be overwritten by its own result; give another folder with --output")


def _identity(path: Path) -> tuple[int, int] | None:
    """What two names of one file share; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def together() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, so that what belongs together is written together; a second one does not wait."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # somebody else's business
        return
    is_due = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal is_due
        if is_due:
            raise KeyboardInterrupt
        is_due = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if is_due:
        raise KeyboardInterrupt
