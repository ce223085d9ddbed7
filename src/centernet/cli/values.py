"""What a typed value becomes: one function for each kind of value, and the letters help shows for it.

argparse calls them and says of a ValueError which option it was; the functions' names end up in that message.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def numbers(text: str) -> list[float]:
    """`0.5,1,1.5` as a list of numbers."""
    return [float(part) for part in text.split(",")]


def words(text: str) -> list[str]:
    """`car,traffic light` as a list of words."""
    return [part.strip() for part in text.split(",")]


def thresholds(text: str) -> dict[str, float]:
    """`0.3` or `person=0.5,car=0.4` or `0.3,person=0.5` as numbers by name; the one without a name is called ''."""
    parts = [part.rpartition("=") for part in text.split(",")]
    named = {name.strip(): float(number) for name, _, number in parts}
    if len(named) != len(parts):
        raise ValueError
    return named


def gpu_ids(text: str) -> list[int]:
    """`0,1` as a list of device numbers."""
    return [int(part) for part in text.split(",")]


def path(text: str) -> Path:
    """A path; `~` is the home folder."""
    return Path(text).expanduser()


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number <= 0:
        raise ValueError
    return number


def from_zero(text: str) -> int:
    """A whole number from 0 on."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


numbers.__name__, gpu_ids.__name__ = "list of numbers X,Y,...", "list of devices N,M,..."
positive.__name__, from_zero.__name__ = "positive number", "number from 0 on"
words.__name__, thresholds.__name__ = "list of words A,B,...", "score X or list NAME=X,..."
METAVARS: dict[Callable[[str], Any], str] = {
    path: "PATH",
    int: "N",
    positive: "N",
    from_zero: "N",
    float: "X",
    numbers: "X,Y,...",
    gpu_ids: "N,M,...",
    words: "A,B,...",
    thresholds: "X|NAME=X,...",
}
