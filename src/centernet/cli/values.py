"""What a typed value becomes: one function for each kind of value, and the letters help shows for it.

argparse calls them, and puts the option before what they say of a wrong value.
"""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def path(text: str) -> Path:
    """A path; `~` is the home folder. An empty one, as an unset variable of a shell leaves it, would be the current folder."""
    return _read(text, lambda text: Path(text).expanduser(), "a path", lambda _: bool(text))


def model_file(text: str) -> Path:
    """A path, or the name of a published file that was downloaded.

    Raises:
        WeightsError: a published file's name, and it is not here.
    """
    from centernet.weights.published import resolve  # here: --help must not wait for what it imports

    return resolve(text) if text else path(text)


def whole(text: str) -> int:
    """A whole number."""
    return _read(text, int, "a whole number")


def positive(text: str) -> int:
    """A whole number above 0."""
    return _read(text, int, "a whole number above 0", lambda number: number > 0)


def from_zero(text: str) -> int:
    """A whole number from 0 on."""
    return _read(text, int, "a whole number from 0 on", lambda number: number >= 0)


def from_minus_one(text: str) -> int:
    """A whole number from 0 on, or -1 for the default."""
    return _read(text, int, "a whole number from 0 on, or -1 for the default", lambda number: number >= -1)


def side(text: str) -> int:
    """Pixels, or -1 for the default."""
    return _read(text, int, "a whole number above 0, or -1 for the default", lambda number: number > 0 or number == -1)


def above_zero(text: str) -> float:
    """A number above 0."""
    return _read(text, float, "a number above 0", lambda number: 0 < number < math.inf)


def not_negative(text: str) -> float:
    """A number from 0 on."""
    return _read(text, float, "a number from 0 on", lambda number: 0 <= number < math.inf)


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _read(text, float, "a number from 0 to 1", lambda number: 0 <= number <= 1)


def below_one(text: str) -> float:
    """A number from 0 on, below 1."""
    return _read(text, float, "a number from 0 on, below 1", lambda number: 0 <= number < 1)


def degrees(text: str) -> float:
    """An angle."""
    return _read(text, float, "degrees from 0 to 180", lambda number: 0 <= number <= 180)


def scales(text: str) -> list[float]:
    """`0.5,1,1.5` as numbers above 0."""
    expected = "numbers above 0 with commas between, such as 0.5,1,1.5"
    return _read(text, lambda text: [float(part) for part in text.split(",")], expected, lambda found: all(0 < x < math.inf for x in found))


def epochs(text: str) -> list[int]:
    """`90,120` as a list of epochs."""
    expected = "numbers of epochs with commas between, such as 90,120"
    return _read(text, lambda text: [int(part) for part in text.split(",")], expected, lambda found: min(found) >= 0)


def duration(text: str) -> str:
    """A time such as 2h, as it is written."""
    from centernet.experiment.budget import budget_seconds  # here: --help must not wait for what it imports

    _read(text, budget_seconds, "a time such as 2h, 1h30m, 90m or 45s")
    return text


def gpu_ids(text: str) -> list[int]:
    """`0,1` as a list of device numbers; -1 is none."""
    expected = "numbers of devices with commas between, such as 0,1, or -1 for none"
    return _read(text, lambda text: [int(part) for part in text.split(",")], expected, lambda found: min(found) >= 0 or found == [-1])


def words(text: str) -> list[str]:
    """`car,traffic light` as a list of words."""
    expected = "names with commas between, such as car,traffic light"
    return _read(text, lambda text: [part.strip() for part in text.split(",")], expected, all)


def thresholds(text: str) -> dict[str, float]:
    """`0.3` or `person=0.5,car=0.4` or `0.3,person=0.5` as numbers by name; the one without a name is called ''."""

    def convert(text: str) -> dict[str, float]:
        parts = [part.rpartition("=") for part in text.split(",")]
        named = {name.strip(): float(number) for name, _, number in parts}
        if len(named) != len(parts):
            raise ValueError
        return named

    return _read(text, convert, "a score, or one for each class, each class once: 0.3,person=0.5")


def one_of(choices: Sequence[T]) -> Callable[[str], T]:
    """Reads one of a few values, written as Python writes them."""
    known = {str(choice): choice for choice in choices}

    def read(text: str) -> T:
        if text in known:
            return known[text]
        near = get_close_matches(text, known, n=1)
        *others, last = known
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ArgumentTypeError(f"expected {', '.join(others)} or {last}, found '{text}'{hint}")

    return read


def _read(text: str, convert: Callable[[str], T], expected: str, is_right: Callable[[T], bool] = lambda _: True) -> T:
    """The converted text; ArgumentTypeError where that is not possible or not right."""
    try:
        value = convert(text)
        if is_right(value):
            return value
    except ValueError:
        pass
    raise ArgumentTypeError(f"expected {expected}, found '{text}'")


METAVARS: dict[Callable[[str], Any], str] = {
    **dict.fromkeys((path, model_file), "PATH"),
    **dict.fromkeys((whole, positive, from_zero, from_minus_one, side), "N"),
    **dict.fromkeys((above_zero, not_negative, share, below_one, degrees), "X"),
    scales: "X,Y,...",
    **dict.fromkeys((epochs, gpu_ids), "N,M,..."),
    words: "A,B,...",
    duration: "TIME",
    thresholds: "X|NAME=X,...",
}
