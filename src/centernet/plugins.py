"""The folder is the registry: a file or sub-folder of a plug-in package is a choice, its name is what YAML says.

What is in nobody's folder here, but in a package of the user's own, is named `module:name`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import re
import traceback
from dataclasses import dataclass, fields
from difflib import get_close_matches
from types import ModuleType
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, WrapValidator
from pydantic_core import PydanticCustomError

from centernet.errors import ConfigError, did_you_mean

NOT_PLUGINS = ("base",)  # the folder's own interface, where it has one
OWN = __name__.partition(".")[0]  # this package
OUTSIDE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
# What a plug-in must have beside its `Config`, by package.
INTERFACES: dict[str, tuple[str, ...]] = {
    "centernet.models.backbones": ("features", "build"),
    "centernet.models.necks": ("features", "build"),
    "centernet.models.heads": ("build",),
    "centernet.data.datasets": ("open_split",),
    "centernet.tasks": ("build",),
}


def names(package: str) -> list[str]:
    """The choices a plug-in package offers, sorted; nothing is imported but the package itself."""
    folder = importlib.import_module(package)
    found = (module.name for module in pkgutil.iter_modules(folder.__path__))
    return sorted(name for name in found if not name.startswith("_") and name not in NOT_PLUGINS)


def is_outside(name: str) -> bool:
    """Whether it names what a package of the user's own has, `module:name`."""
    return ":" in name


def load(package: str, name: str) -> ModuleType:
    """Import plug-in `name` of `package`, or, where that is `module:name`, the user's: a module, or a class with the same names in it.

    Raises:
        ConfigError: the folder has no such file; the text lists those it has. Or the user's module cannot be imported, has no
            such name, or what is there is no plug-in of this kind.
    """
    kind = package.rsplit(".", 1)[-1]
    if is_outside(name):
        plugin: ModuleType = outside(name, kind=kind)
        _check(plugin, package, name)
        return plugin
    known = names(package)
    if name not in known:
        raise ConfigError(f"{kind}: '{name}' is not there{did_you_mean(name, known)}")
    return importlib.import_module(f"{package}.{name}")


def outside(name: str, *, kind: str) -> Any:
    """What `module:name` names: an attribute of the module, or a module in it. `kind` is what errors call it.

    Raises:
        ConfigError: not of this form, no such module, an error in it, or it has no such name.
    """
    where, _, attribute = name.partition(":")
    if OUTSIDE.fullmatch(name) is None:
        raise ConfigError(f"{kind}: found '{name}', expected module:name, for example my_package.parts:tiny")
    if where == "__main__":
        raise ConfigError(f"{kind}: '{name}': is in the program itself, where no other process finds it; move it to a module of its own")
    module = _imported(where, name, kind)
    if hasattr(module, attribute):
        return getattr(module, attribute)
    if attribute in _inside(module):
        return _imported(f"{where}.{attribute}", name, kind)
    own = {other for other, value in vars(module).items() if callable(value) and getattr(value, "__module__", None) == where}
    known = own.union(_inside(module)) - {"Config"}
    raise ConfigError(f"{kind}: '{name}': module {where} ({_place(module)}) has no '{attribute}'{did_you_mean(attribute, known)}")


def name_of(config: object) -> str:
    """The plug-in a configuration object belongs to: a Config lives in the plug-in's own module, package or class."""
    return _name_of_class(type(config))


def short_name(name: str) -> str:
    """The name without its module: what files and folders are called by."""
    return name.rpartition(":")[2]


def plugin_config(package: str) -> Any:
    """The pydantic type of a YAML section `{name: PLUGIN, ...}`: validated by that plug-in's `Config`.

    Errors keep the dotted path of the section they are in.
    """

    def validate(value: object) -> object:
        if not isinstance(value, dict):
            if _belongs(value, package):
                return value
            raise PydanticCustomError("plugin", "expected a section with a 'name', found {found}", {"found": repr(value)})
        options = dict(value)
        name = options.pop("name", None)
        if not isinstance(name, str):
            said = f"found the name {name!r} ({type(name).__name__}), expected one of" if "name" in value else "'name' is missing; known:"
            raise PydanticCustomError("plugin", "{said} {known}", {"said": said, "known": ", ".join(names(package))})
        try:
            config_class = load(package, name).Config
        except ConfigError as error:
            raise PydanticCustomError("plugin", "{text}", {"text": str(error)}) from error
        return TypeAdapter(config_class).validate_json(json.dumps(options), strict=True)

    def serialize(config: object) -> dict[str, Any]:
        tree: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
        return {"name": name_of(config), **tree}

    return Annotated[Any, PlainValidator(validate), PlainSerializer(serialize), _Package(package)]


def words_or_outside(words: Any, *, kind: str) -> WrapValidator:
    """Makes `Annotated[str, ...]` one of the words of a Literal, or `module:name` of a function of the user's own.

    kind: what errors call it.
    """

    def validate(value: object, _: object) -> object:
        if not isinstance(value, str) or not is_outside(value):
            return TypeAdapter(words).validate_python(value, strict=True)
        try:
            found = outside(value, kind=kind)
        except ConfigError as error:
            raise PydanticCustomError("plugin", "{text}", {"text": str(error)}) from error
        if not callable(found):
            text = f"{kind}: '{value}': expected a function, found {type(found).__name__}"
            raise PydanticCustomError("plugin", "{text}", {"text": text})
        return value

    return WrapValidator(validate)


@dataclass(frozen=True)
class _Package:
    """Marks an annotation made by `plugin_config`."""

    name: str


def package_of(annotation: object) -> str | None:
    """The plug-in package of a field made by `plugin_config`, None for any other annotation."""
    marks = (mark.name for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, _Package))
    return next(marks, None)


def _name_of_class(config_class: type) -> str:
    package, _, module = config_class.__module__.rpartition(".")
    if module == "config":
        package, _, module = package.rpartition(".")
    if config_class.__module__.startswith(f"{OWN}."):
        return module
    owner = config_class.__qualname__.rpartition(".")[0]
    return f"{config_class.__module__}:{owner}" if owner else f"{package}:{module}"


def _belongs(value: object, package: str) -> bool:
    """Whether an object is the Config of a plug-in of this package, or of one of the user's."""
    module = type(value).__module__
    if module.startswith(f"{OWN}.") or not hasattr(value, "__dataclass_fields__"):
        return module.startswith(package)
    try:
        return load(package, name_of(value)).Config is type(value)
    except ConfigError as error:
        raise PydanticCustomError("plugin", "{text}", {"text": str(error)}) from error


def _check(plugin: Any, package: str, name: str) -> None:
    """ConfigError unless it is a plug-in of this kind, and its Config as strict as all others and found again by its name."""
    kind = package.rsplit(".", 1)[-1]
    expected = ("Config", *INTERFACES.get(package, ()))
    missing = [part for part in expected if not hasattr(plugin, part)]
    if missing:
        raise ConfigError(f"{kind}: '{name}' has no {' and no '.join(missing)}; expected {', '.join(expected)}")
    config_class = plugin.Config
    own_words = vars(config_class)  # what is inherited would make an object of the parent
    is_frozen = getattr(own_words.get("__dataclass_params__"), "frozen", False) and "__pydantic_validator__" in own_words
    if not is_frozen or getattr(config_class, "__pydantic_config__", {}).get("extra") != "forbid":
        raise ConfigError(
            f"{kind}: '{name}': its Config is not strict; declare it with "
            "@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=centernet.errors.STRICT)"
        )
    if "name" in {field.name for field in fields(config_class)}:
        raise ConfigError(f"{kind}: '{name}': its Config has a field 'name', which in YAML names the plug-in; call it something else")
    own = _name_of_class(config_class)
    if own != name and not _is(plugin, own, package):
        raise ConfigError(
            f"{kind}: '{name}': its Config is that of '{own}'; give it one of its own, in the plug-in's module or class, "
            "which may derive from that"
        )


def _is(plugin: object, name: str, package: str) -> bool:
    try:
        found = outside(name, kind=package) if is_outside(name) else load(package, name)
    except ConfigError:
        return False
    return found is plugin


def _imported(module: str, name: str, kind: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise ConfigError(
                f"{kind}: '{name}': Python finds no module '{error.name}'{_near(error.name)}; "
                "install the package it is in, or add the folder that holds it to PYTHONPATH"
            ) from None
        raise ConfigError(_broken(module, name, kind, error)) from error
    except Exception as error:
        raise ConfigError(_broken(module, name, kind, error)) from error


def _broken(module: str, name: str, kind: str, error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{kind}: '{name}': module {module} cannot be imported: {type(error).__name__}: {error} ({last.filename}:{last.lineno})"


def _near(module: str) -> str:
    """`; did you mean 'x'?` where a module of nearly this name is there."""
    parent, _, last = module.rpartition(".")
    known = _inside(importlib.import_module(parent)) if parent else {found.name for found in pkgutil.iter_modules()}
    near = get_close_matches(last, known, n=1, cutoff=0.75)
    return f"; did you mean '{f'{parent}.' if parent else ''}{near[0]}'?" if near else ""


def _inside(module: ModuleType) -> set[str]:
    """The names of a package's modules."""
    return {found.name for found in pkgutil.iter_modules(getattr(module, "__path__", ())) if not found.name.startswith("_")}


def _place(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or ", ".join(getattr(module, "__path__", ["built in"]))
