"""Parameters named by patterns, `res1/*` or `*/bn/gamma`; `*` stands for anything, slashes too."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase

from centernet.errors import ConfigError, first_of

EXAMPLES = 3  # names an error lists


def matching(pattern: str, names: Iterable[str], *, key: str) -> list[str]:
    """The names that a pattern matches, in their order.

    Args:
        key: where the pattern stands in the configuration, for the message.

    Raises:
        ConfigError: none; the text has the nearest there are.
    """
    names = list(names)
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise ConfigError(f"{key}: '{pattern}' matches no parameter of the network; {_near(pattern, names)}")
    return found


def _near(pattern: str, names: Collection[str]) -> str:
    parts = [name.split("/") for name in names]
    scopes = dict.fromkeys("/".join(part[:depth]) + "/*" for part in parts for depth in range(1, len(part)))
    near = get_close_matches(pattern, [*scopes, *names], n=EXAMPLES, cutoff=0.5)
    if near:
        return f"near it: {', '.join(near)}"
    first = list(dict.fromkeys(part[0] for part in parts))
    return f"names begin with {first_of(first, 12)}"
