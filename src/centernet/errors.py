"""What a user, a file or a machine can get wrong; the command line prints these without a traceback."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ConfigDict

# Every configuration class is declared with it: an unknown key is an error, not a wish.
STRICT: ConfigDict = {"extra": "forbid"}


class CenterNetError(Exception):
    """Base of all errors whose text is meant for the user; `exit_code` is the process's."""

    exit_code = 2


class ConfigError(CenterNetError):
    """A configuration key or command-line option is unknown, missing, or has an impossible value."""


class DataError(CenterNetError):
    """A data set, annotation file or image is missing, unreadable or contradicts its declaration."""


class WeightsError(CenterNetError):
    """A parameter file is missing, corrupt, or belongs to another network."""


class DeviceError(CenterNetError):
    """An extension, device or runtime was asked for and cannot be had."""


class CommunicationError(CenterNetError):
    """Processes that were started together cannot reach each other, or one of them failed."""


class OutputError(CenterNetError):
    """An output folder or file cannot be written."""


class ExportError(CenterNetError):
    """A network cannot be expressed in the requested format, or the written file disagrees with it."""


class TrainingError(CenterNetError):
    """Training cannot go on, for example because a loss is not finite."""

    exit_code = 3


def first_of(names: Sequence[str], most: int) -> str:
    """Up to `most` names for a text: `a, b, ...`."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error text: `; did you mean 'x'?` for a near miss, else the list of what is known."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known) or 'none'}"
