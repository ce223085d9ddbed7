"""Read a large JSON object piece by piece, so that a file of half a gigabyte needs a few megabytes of memory."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TextIO

from centernet.errors import DataError

CHUNK_CHARACTERS = 1 << 20
_DECODER = json.JSONDecoder()
_BLANK = " \t\n\r"


def iterate(path: Path, *, lists: Collection[str]) -> Iterator[tuple[str, object]]:
    """Yield `(key, value)` of the object at the top of a JSON file, in the file's order.

    A key in `lists` whose value is an array yields once per element of it, and never as a whole; such a key is also
    announced once by `(key, None)` before its elements, so that an empty array can be told from a missing one.

    Raises:
        DataError: the file cannot be opened, is not JSON, is cut short, or holds something else than an object at its top.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _Scanner(file, path).members(lists)
    except FileNotFoundError as error:
        raise DataError(f"{path}: the annotation file does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the annotation file cannot be read: {error}") from error


class _Scanner:
    """A window onto the text of one file: `text[at:]` is what has been read but not yet understood."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self.file, self.path = file, path
        self.text, self.at, self.dropped, self.ended = "", 0, 0, False

    def members(self, lists: Collection[str]) -> Iterator[tuple[str, object]]:
        self.expect("{", "an object")
        if self.peek() == "}":
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise self.error("a key in quotes")
            self.expect(":", "':'")
            if key in lists and self.peek() == "[":
                yield key, None
                for element in self.elements():
                    yield key, element
            else:
                yield key, self.value()
            if self.next_is_end("}"):
                return

    def elements(self) -> Iterator[object]:
        self.expect("[", "an array")
        if self.peek() == "]":
            self.at += 1
            return
        while True:
            yield self.value()
            if self.next_is_end("]"):
                return

    def next_is_end(self, end: str) -> bool:
        found = self.peek()
        if found not in (",", end):
            raise self.error(f"',' or '{end}'")
        self.at += 1
        return found == end

    def expect(self, character: str, what: str) -> None:
        if self.peek() != character:
            raise self.error(what)
        self.at += 1

    def peek(self) -> str:
        """The next character that is not blank; empty at the end of the file."""
        while True:
            while self.at < len(self.text):
                if self.text[self.at] not in _BLANK:
                    return self.text[self.at]
                self.at += 1
            if not self.read(CHUNK_CHARACTERS):
                return ""

    def value(self) -> object:
        """Decode one value; a value that does not end in the window is tried again with a window twice as large."""
        self.peek()
        more = CHUNK_CHARACTERS
        while True:
            try:
                found, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if not self.read(more):
                    raise self.error("valid JSON", error) from error
                more *= 2
                continue
            if end + len("e+1") > len(self.text) and self.read(CHUNK_CHARACTERS):  # a number may go on behind the window
                continue
            self.at = end
            return found

    def read(self, characters: int) -> bool:
        """Move the window on; False at the end of the file."""
        piece = "" if self.ended else self.file.read(characters)
        self.ended = not piece
        if piece:
            self.dropped += self.at
            self.text, self.at = self.text[self.at :] + piece, 0
        return bool(piece)

    def error(self, expected: str, cause: json.JSONDecodeError | None = None) -> DataError:
        at = self.at if cause is None else cause.pos
        found = repr(self.text[at : at + 20]) if at < len(self.text) else "the end of the file (is it cut short?)"
        return DataError(f"{self.path}: not valid JSON at character {self.dropped + at}: expected {expected}, found {found}")
