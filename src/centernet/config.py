"""Read a YAML experiment, override single keys, validate it strictly, and write the resolved copy."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from centernet import plugins
from centernet.errors import ConfigError, OutputError, did_you_mean

Tree = dict[str, Any]
Location = tuple[int | str, ...]
T = TypeVar("T")


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, but `5e-4` is a number and a repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"found the key {key!r}, expected a name", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' appears twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))


def read_yaml(path: Path) -> Tree:
    """The mapping a YAML file holds.

    Raises:
        ConfigError: no such file, not YAML, a key twice, or not a mapping; the text names file and line.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a text file, expected YAML") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else f"{path}"
        raise ConfigError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected 'key: value' sections, found {'nothing' if tree is None else type(tree).__name__}")
    return tree


def read_foreign_yaml(path: Path) -> object:
    """What another program's YAML file holds, whatever it is; None where it cannot be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def override(tree: Tree, assignments: Sequence[str]) -> Tree:
    """A copy of `tree` with every `a.b=value` applied; values are read as YAML, sections are made where missing.

    Raises:
        ConfigError: not of the form `a.b=value`, or a part of the path is a value, not a section.
    """
    result = copy.deepcopy(tree)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise ConfigError(f"--set {assignment}: expected KEY.KEY=VALUE")
        try:
            value = yaml.load(text, _Loader)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment}: '{text}' is not a YAML value: {getattr(error, 'problem', error)}") from None
        assign(result, path, value)
    return result


def assign(tree: Tree, path: str, value: object) -> None:
    """Set `tree[a][b]` for the path `a.b` in place, making sections on the way."""
    *sections, key = path.split(".")
    here = tree
    for depth, section in enumerate(sections):
        here = here.setdefault(section, {})
        if not isinstance(here, dict):
            raise ConfigError(f"{'.'.join(sections[: depth + 1])}: is a value ({here!r}), not a section, so {path} cannot be set")
    here[key] = value


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """`base` with the keys of `over` on top, section by section; a section that names another plug-in replaces the old one."""
    result: Tree = dict(base)
    for key, value in over.items():
        old = result.get(key)
        mixes = isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name")
        result[key] = merge(old, value) if mixes and isinstance(old, dict) else value
    return result


def validate(schema: type[T], tree: Mapping[str, Any], *, source: str) -> T:
    """Turn a tree into a frozen `schema` object.

    Raises:
        ConfigError: every unknown key, missing key, wrong type and value out of range, one line each:
            dotted path, what was found, what was expected, the nearest known key.
    """
    try:
        text = json.dumps(tree, allow_nan=False)
    except (TypeError, ValueError) as error:
        key, value = next(_foreign_values(tree), ("(top level)", error))
        raise ConfigError(f"{source}: {key}: found {value!r}, which YAML may write but a configuration may not") from None
    try:
        return TypeAdapter(schema).validate_json(text, strict=True)
    except ValidationError as error:
        mistakes = _without_alternatives(tree, error.errors(include_url=False))
        inner = {mistake["loc"][:depth] for mistake in mistakes for depth in range(len(mistake["loc"]))}  # a wrong part explains the whole
        lines = [f"{source}: {_explain(schema, tree, mistake)}" for mistake in mistakes if mistake["loc"] not in inner]
        raise ConfigError("\n".join(lines)) from None


def to_tree(config: object) -> Tree:
    """The plain mapping that `validate` reads back into an equal object."""
    tree: Tree = TypeAdapter(type(config)).dump_python(config, mode="json")
    return tree


def write_yaml(tree: Mapping[str, Any], path: Path) -> None:
    """Write a tree as YAML; OutputError when that is not possible."""
    try:
        path.write_text(yaml.safe_dump(dict(tree), sort_keys=False, default_flow_style=None, width=120), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _foreign_values(tree: object, key: str = "", around: tuple[int, ...] = ()) -> Iterator[tuple[str, object]]:
    """(dotted key, value) of what JSON does not have: dates, sets, infinities, sections inside themselves."""
    if id(tree) in around:
        yield key, "a section inside itself"
    elif isinstance(tree, (Mapping, list)):
        items = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        for name, value in items:
            yield from _foreign_values(value, f"{key}.{name}" if key else str(name), (*around, id(tree)))
    elif not isinstance(tree, (str, int, float, type(None))) or (isinstance(tree, float) and not math.isfinite(tree)):
        yield key, tree


def _without_alternatives(tree: Mapping[str, Any], mistakes: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """One mistake of each key: of a value that is none of several types, pydantic has one for each, below the value's own path."""
    result: list[ErrorDetails] = []
    for own, alike in groupby(mistakes, key=lambda mistake: _part_of(tree, mistake["loc"])):
        first, *others = alike
        if any(other["loc"] != own for other in others):
            texts = [first["msg"], *(other["msg"].removeprefix("Input should be ") for other in others)]
            result.append({**first, "loc": own, "msg": " or ".join(texts)})
        else:
            result += [first, *others]
    return result


def _part_of(tree: Any, location: Location) -> Location:
    """As much of a location as the tree has, and the key that it lacks."""
    for depth, part in enumerate(location):
        if not isinstance(tree, (Mapping, list)):
            return location[:depth]
        is_there = part in tree if isinstance(tree, Mapping) else isinstance(part, int) and part < len(tree)
        tree = tree[part] if is_there else None  # type: ignore[index]
    return location


def _explain(schema: type, tree: Mapping[str, Any], details: ErrorDetails) -> str:
    location = [str(part) for part in details["loc"]]
    path, kind, found = ".".join(location) or "(top level)", details["type"], details["input"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        if ":" in location[-1]:
            return f"{path}: unknown key; YAML wants a space after the colon: '{location[-1].replace(':', ': ', 1)}'"
        return f"{path}: unknown key{did_you_mean(location[-1], _known_keys(schema, tree, location[:-1]))}"
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{path}: is missing"
    if kind in ("value_error", "assertion_error"):
        text = details["msg"].partition(", ")[2]
        key, _, rest = text.partition(": ")
        if key.partition(".")[0] not in _known_keys(schema, tree, location):
            return f"{path}: {text}"
        return f"{'.'.join([*location, key])}: {rest}"  # the section speaks of one of its keys
    if kind == "plugin":
        return f"{path}: {details['msg']}"
    if kind.startswith("dataclass"):
        return f"{path}: expected a section with keys, found {found!r}"
    expected = _number_of_items(details) or details["msg"].removeprefix("Input should be ")
    expected = expected.replace("a valid array", "a list such as [a, b]")
    return f"{path}: found {found!r} ({type(found).__name__}), expected {expected}"


def _number_of_items(details: ErrorDetails) -> str:
    """How many a list should have, where that is the mistake; pydantic speaks of tuples and of validation."""
    limit = {"too_short": ("at least", "min_length"), "too_long": ("at most", "max_length")}.get(details["type"])
    if limit is None:
        return ""
    number = details["ctx"][limit[1]]
    return f"{limit[0]} {number} item{'' if number == 1 else 's'}"


def _known_keys(schema: type, tree: Any, location: Sequence[str]) -> list[str]:
    """The keys of the section at `location`, following the plug-in each section names."""
    here: Any = schema
    for part in location:
        if isinstance(tree, list):  # `here` is what its items are
            tree = tree[int(part)]
            continue
        tree = tree.get(part, {})
        annotation = typing.get_type_hints(here, include_extras=True)[part] if dataclasses.is_dataclass(here) else Any
        here = _section_class(annotation, tree)
    return [field.name for field in dataclasses.fields(here)] if dataclasses.is_dataclass(here) else []


def _section_class(annotation: Any, tree: Any) -> Any:
    package = plugins.package_of(annotation)
    if package is not None:
        return plugins.load(package, tree["name"]).Config
    candidates = [annotation, *typing.get_args(annotation)]
    return next((c for c in candidates if dataclasses.is_dataclass(c)), Any)
