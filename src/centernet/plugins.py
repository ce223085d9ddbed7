"""The folder is the registry: a file or sub-folder of a plug-in package is a choice, its name is what YAML says."""

from __future__ import annotations

import importlib
import json
import pkgutil
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, TypeAdapter
from pydantic_core import PydanticCustomError

from centernet.errors import ConfigError, did_you_mean

NOT_PLUGINS = ("base",)  # the folder's own interface, where it has one


def names(package: str) -> list[str]:
    """The choices a plug-in package offers, sorted; nothing is imported but the package itself."""
    folder = importlib.import_module(package)
    found = (module.name for module in pkgutil.iter_modules(folder.__path__))
    return sorted(name for name in found if not name.startswith("_") and name not in NOT_PLUGINS)


def load(package: str, name: str) -> ModuleType:
    """Import plug-in `name` of `package`.

    Raises:
        ConfigError: the folder has no such file; the text lists those it has.
    """
    known = names(package)
    if name not in known:
        kind = package.rsplit(".", 1)[-1]
        raise ConfigError(f"{kind}: '{name}' is not there{did_you_mean(name, known)}")
    return importlib.import_module(f"{package}.{name}")


def name_of(config: object) -> str:
    """The plug-in a configuration object belongs to: a Config lives in the plug-in's own module or package."""
    package, _, module = type(config).__module__.rpartition(".")
    return package.rsplit(".", 1)[-1] if module == "config" else module


def plugin_config(package: str) -> Any:
    """The pydantic type of a YAML section `{name: PLUGIN, ...}`: validated by that plug-in's `Config`.

    Errors keep the dotted path of the section they are in.
    """

    def validate(value: object) -> object:
        if not isinstance(value, dict):
            if type(value).__module__.startswith(package):
                return value
            raise PydanticCustomError("plugin", "expected a section with a 'name', found {found}", {"found": repr(value)})
        options = dict(value)
        name = options.pop("name", None)
        if not isinstance(name, str):
            raise PydanticCustomError("plugin", "'name' is missing; known: {known}", {"known": ", ".join(names(package))})
        try:
            config_class = load(package, name).Config
        except ConfigError as error:
            raise PydanticCustomError("plugin", "{text}", {"text": str(error)}) from error
        return TypeAdapter(config_class).validate_json(json.dumps(options), strict=True)

    def serialize(config: object) -> dict[str, Any]:
        tree: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
        return {"name": name_of(config), **tree}

    return Annotated[Any, PlainValidator(validate), PlainSerializer(serialize), _Package(package)]


@dataclass(frozen=True)
class _Package:
    """Marks an annotation made by `plugin_config`."""

    name: str


def package_of(annotation: object) -> str | None:
    """The plug-in package of a field made by `plugin_config`, None for any other annotation."""
    marks = (mark.name for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, _Package))
    return next(marks, None)
