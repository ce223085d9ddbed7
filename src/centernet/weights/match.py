"""Parameters of a file against those of a network: all or nothing, with one error that says everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from centernet.errors import WeightsError, first_of
from centernet.weights.identify import identify
from centernet.weights.layout import shapes_of
from centernet.weights.store import Array

# Heads of the official system's other tasks, which converted files may carry along.
OTHER_HEADS = (
    *("hps", "hm_hp", "hp_offset"),
    *("dep", "rot", "dim"),
    *("hm_t", "hm_l", "hm_b", "hm_r", "hm_c", "reg_t", "reg_l", "reg_b", "reg_r"),
)
# What a network need not have a place for: the ImageNet classifier that published files carry along, and those heads.
UNUSED = ("fc/", *(f"{head}{rest}" for head in OTHER_HEADS for rest in ("_conv1/", "_final/", "/")))
ANY = ("",)  # as a prefix: every name
EXAMPLES = 5  # names an error lists of each kind

Shapes = Mapping[str, tuple[int, ...]]


class Target(Protocol):
    """Where values go; NNabla's Variable is one."""

    shape: tuple[int, ...]
    d: Array


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """Names by what became of them.

    loaded: taken from the file. unused: in the file, not in the network. missing: in the network, not in the file;
    they keep their initial values. reshaped: those of `loaded` that were converted to the network's layout or channels.
    """

    loaded: tuple[str, ...]
    unused: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for the log."""
        parts = [f"{len(self.loaded)} parameters loaded"]
        if self.reshaped:
            parts.append(f"{len(self.reshaped)} of them converted in layout or channels")
        if self.unused:
            parts.append(f"{len(self.unused)} left in the file ({first_of(self.unused, EXAMPLES)})")
        if self.missing:
            parts.append(f"{len(self.missing)} not in the file ({first_of(self.missing, EXAMPLES)})")
        return ", ".join(parts)


def match(
    parameters: Mapping[str, Array],
    expected: Shapes,
    *,
    what: str | Path,
    allow_missing: Sequence[str] = (),
    allow_unused: Sequence[str] = UNUSED,
) -> LoadReport:
    """Check that a file's parameters are the network's.

    Args:
        expected: name -> shape of every parameter of the network.
        what: the file, for the message.
        allow_missing: prefixes of names the file need not have.
        allow_unused: prefixes of names the network need not have.

    Raises:
        WeightsError: a shape differs, a name is missing or left over. One text has all of it: layout, input channels,
            class count or architecture where that is the reason, with the cure.
    """
    found = shapes_of(parameters)
    unused = tuple(name for name in found if name not in expected)
    missing = tuple(name for name in expected if name not in found)
    wrong = [name for name in expected if name in found and found[name] != tuple(expected[name])]
    bad_unused = [name for name in unused if not name.startswith(tuple(allow_unused))]
    bad_missing = [name for name in missing if not name.startswith(tuple(allow_missing))]
    if wrong or bad_unused or bad_missing:
        reasons = list(_reasons(found, expected, str(what)))
        raise WeightsError(
            f"{what}: not the weights of this network: " + "; ".join(reasons + _lists(found, expected, wrong, bad_missing, bad_unused))
        )
    return LoadReport(loaded=tuple(name for name in expected if name in found), unused=unused, missing=missing)


def assign(
    parameters: Mapping[str, Array],
    variables: Mapping[str, Target],
    *,
    what: str | Path,
    allow_missing: Sequence[str] = (),
    allow_unused: Sequence[str] = UNUSED,
) -> LoadReport:
    """`match`, then copy the values into the network's variables; nothing is copied where something does not fit.

    Raises:
        WeightsError: as `match`.
    """
    expected = {name: tuple(variable.shape) for name, variable in variables.items()}
    report = match(parameters, expected, what=what, allow_missing=allow_missing, allow_unused=allow_unused)
    for name in report.loaded:
        variables[name].d = np.asarray(parameters[name], np.float32)
    return report


def _reasons(found: Shapes, expected: Shapes, what: str) -> Iterator[str]:
    """The likely causes, most telling first; each with what was found, what was expected, and the cure."""
    file, network = identify(found), identify(expected)
    if _differ(file.architecture, network.architecture):
        yield f"the file is a {file.architecture}, the network a {network.architecture} (--arch, --num_layers)"
    elif _differ(file.stem_channels, network.stem_channels):
        yield f"the file's first convolution has {file.stem_channels} channels, the network's {network.stem_channels} (width)"
    if _differ(file.layout, network.layout) or _differ(file.input_channels, network.input_channels):
        options = f"-m {network.layout}" + (f" -{network.input_channels}" if network.input_channels else "")
        yield (
            f"the file is {file.layout} with {file.input_channels} input channels, the network {network.layout} with "
            f"{network.input_channels}; convert it: python src/convert_parameter_format.py {what} OUT.h5 {options}"
        )
    if _differ(file.num_classes, network.num_classes):
        yield f"the file has {file.num_classes} classes, the network {network.num_classes} (--dataset)"


def _differ(found: object, expected: object) -> bool:
    return None not in (found, expected) and found != expected


def _lists(found: Shapes, expected: Shapes, wrong: Sequence[str], missing: Sequence[str], unused: Sequence[str]) -> list[str]:
    shapes = [f"{name} {found[name]} instead of {tuple(expected[name])}" for name in wrong]
    kinds = (
        ("of another shape", ", ".join(shapes), shapes),
        ("not in the file", first_of(missing, EXAMPLES), missing),
        ("not in the network", first_of(unused, EXAMPLES), unused),
    )
    return [f"{len(names)} {kind}: {text}" for kind, text, names in kinds if names]
