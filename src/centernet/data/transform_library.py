"""The library albumentations: whether the right one is there, its classes, and their objects, with its mistakes told as ours."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module, metadata
from types import ModuleType
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from centernet.errors import ConfigError

PATH = "data.augment.transforms"  # where the list is in the YAML
LIBRARY, SINCE, BEFORE = "albumentations", (2, 0, 8), (2, 1)  # what follows is another package under another licence
INSTALL = "run `make setup EXTRAS=augment`, or `pip install 'albumentations>=2.0.8,<2.1'`"


def load_library(path: str = PATH) -> ModuleType:
    """Albumentations, which is imported nowhere else; ConfigError if it is not there or another version, with the cure."""
    try:
        found = metadata.version(LIBRARY)
        version = tuple(int(part) for part in found.split(".") if part.isdigit())
        if not SINCE <= version < BEFORE:
            raise ConfigError(f"{path}: found {LIBRARY} {found}, expected 2.0.8 or a later 2.0; {INSTALL}")
        os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # importing it asks a server for newer versions otherwise
        return import_module(LIBRARY)
    except ImportError as error:  # among them metadata's own
        why = "is not installed" if isinstance(error, metadata.PackageNotFoundError) else f"cannot be imported ({text_of(error)})"
        raise ConfigError(f"{path}: needs {LIBRARY}, which {why}; {INSTALL}") from error


def supported(library: ModuleType) -> dict[str, type]:
    """The classes whose names may be in the list; `build` refuses some of them, with the reason."""
    base = library.BasicTransform, library.BaseCompose
    classes = {name: value for name, value in vars(library).items() if inspect.isclass(value) and issubclass(value, base)}
    abstract = (*base, library.DualTransform, library.ImageOnlyTransform, library.Transform3D)
    return {name: value for name, value in classes.items() if value not in abstract}


def construct(kind: Callable[..., Any], arguments: Mapping[str, Any], where: str) -> Any:
    """An object of one of the library's classes; ConfigError, which calls it `where`, with a line for each argument that does not fit."""
    try:
        return _strictly(kind, arguments)
    except Exception as error:  # whatever the library raises
        details = error.__cause__.errors() if isinstance(error.__cause__, ValidationError) else []
        raise ConfigError("\n".join(f"{where}{line}" for line in _explain(details)) or f"{where}: {text_of(error)}") from error


def text_of(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _strictly(kind: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Not strict, the library takes its defaults instead of some arguments that do not fit; a few classes are so anyway."""
    try:
        return kind(**arguments, strict=True)
    except TypeError as error:
        if "'strict'" not in str(error):
            raise
        return kind(**arguments)


def _explain(mistakes: Sequence[ErrorDetails]) -> list[str]:
    """A line for each argument; one that may be of several types has a mistake for each of them."""
    lines: dict[str, str] = {}
    for mistake in mistakes:
        argument, text = (
            "".join(f".{part}" for part in mistake["loc"][:1]),
            mistake["msg"].removeprefix("Input should be ").removeprefix("Value error, "),
        )
        if argument in lines:
            lines[argument] += f", or {text}"
        elif mistake["type"] == "missing":
            lines[argument] = f"{argument}: is missing"
        elif mistake["type"] == "value_error":
            lines[argument] = f"{argument}: {text}" + (f", found {mistake['input']!r}" if argument else "")
        else:
            lines[argument] = f"{argument}: found {mistake['input']!r}, expected {text}"
    return list(lines.values())
