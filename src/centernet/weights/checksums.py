"""SHA-256 of downloaded files: written down at first use, held against ever after."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from pathlib import Path

from centernet.errors import OutputError, WeightsError

FILE = "SHA256SUMS"  # `sha256sum --check SHA256SUMS` in its folder understands it
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
CHUNK = 1 << 20


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def recorded(folder: Path, name: str) -> str | None:
    """What is written down in `folder` for the file `name` below it; None: nothing yet.

    Raises:
        WeightsError: the list cannot be read, or a line of it is none.
    """
    try:
        text = (folder / FILE).read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{folder / FILE}: cannot be read: {error}") from error
    return _parse(text, folder / FILE).get(name)


def check(folder: Path, name: str, found: str, *, what: str | Path) -> None:
    """Hold a SHA-256 against the one that is written down, if one is.

    Raises:
        WeightsError: they differ; the text names both, and `what` was found to differ.
    """
    expected = recorded(folder, name)
    if expected not in (None, found):
        raise WeightsError(
            f"{what}: its SHA-256 is {found}, but at first use it was {expected} ({folder / FILE}); if the file was replaced "
            f"on purpose, remove the line of {name} there"
        )


def record(folder: Path, name: str, found: str) -> None:
    """Write a SHA-256 down, unless it is already there; several processes may do so at once.

    Raises:
        WeightsError: another one is written down. OutputError: the list cannot be written.
    """
    try:
        with (folder / FILE).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            check(folder, name, found, what=folder / name)
            if recorded(folder, name) is None:
                file.write(f"{found}  {name}\n")
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"{folder / FILE}: cannot be written: {error.strerror}") from error


def _parse(text: str, path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = LINE.fullmatch(line)
        if match is None:
            raise WeightsError(f"{path}: line {number}: expected a SHA-256 and a file's name, found '{line[:80]}'")
        found[match[2]] = match[1]
    return found
