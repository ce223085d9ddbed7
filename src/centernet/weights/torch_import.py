"""A PyTorch checkpoint as parameters of our own: read, freed of wrappers and prefixes, renamed, and reported layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import numpy as np

from centernet.errors import WeightsError
from centernet.weights.match import Shapes
from centernet.weights.safetensors_file import read_safetensors, read_safetensors_shapes
from centernet.weights.store import Array
from centernet.weights.torch_file import read_torch, read_torch_shapes
from centernet.weights.torch_identify import architecture

Value = TypeVar("Value")

SAFETENSORS = ".safetensors"
SUFFIXES = (".pth", ".pt", ".pkl", ".t7", ".tar", ".ckpt", ".bin", SAFETENSORS)
PREFIX = "module."  # of models that were saved inside DataParallel
COMMON_PREFIXES = ("model.", "net.", "network.", "backbone.", "_orig_mod.")  # taken off where every key has them
TRUNK = "base."  # in front of a backbone's keys in a detector, not in the same backbone's ImageNet checkpoint
EXAMPLES = 5  # names an error lists of each kind


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One parameter that was taken; `is_reshaped`: its values are the same, in another shape."""

    name: str
    key: str
    shape: tuple[int, ...]
    is_reshaped: bool


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What became of every parameter.

    taken: in our order. unused: keys of the checkpoint that the network has no place for. missing: our names that the
    checkpoint has no values for, or of another shape; they keep their initial values.
    """

    taken: tuple[Layer, ...]
    unused: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for the log."""
        reshaped = sum(layer.is_reshaped for layer in self.taken)
        parts = [f"{len(self.taken)} parameters taken, {reshaped} of them reshaped"]
        parts += [f"{len(names)} {word}: {_some(names)}" for names, word in ((self.unused, "unused"), (self.missing, "missing")) if names]
        return "; ".join(parts)

    def table(self) -> str:
        """One line for each parameter and key: what became of it, our name, the key, the shape."""
        lines = [
            f"{'reshaped' if layer.is_reshaped else 'taken':<8}  {layer.name} <- {layer.key} {'x'.join(map(str, layer.shape))}"
            for layer in self.taken
        ]
        lines += [f"missing   {name}" for name in self.missing]
        return "\n".join(lines + [f"unused    {key}" for key in self.unused])


def read_checkpoint(path: str | Path) -> dict[str, Array]:
    """The state dict of a PyTorch checkpoint or safetensors file, with the keys as they are there.

    Raises:
        WeightsError: the file is missing, damaged or not safe, see `read_torch` and `read_safetensors`.
    """
    return read_safetensors(path) if Path(path).suffix == SAFETENSORS else read_torch(path)


def is_checkpoint(path: str | Path) -> bool:
    """Whether a file's name is one that PyTorch checkpoints have."""
    return Path(path).suffix in SUFFIXES


def read_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """As `read_checkpoint`, but shapes alone, which does not take the time of reading the values."""
    return read_safetensors_shapes(path) if Path(path).suffix == SAFETENSORS else read_torch_shapes(path)


def plain(state: Mapping[str, Value], wanted: Iterable[str] = ()) -> dict[str, Value]:
    """The same values under the keys that the model itself has, without what wraps it; `wanted` are the keys looked for."""
    keys = {key.removeprefix(PREFIX): key for key in state}
    wanted = set(wanted)
    for prefix in COMMON_PREFIXES:
        if all(key.startswith(prefix) for key in keys) and not wanted & set(keys):
            keys = {key.removeprefix(prefix): old for key, old in keys.items()}
    if not wanted & set(keys) and any(f"{TRUNK}{key}" in wanted for key in keys):
        keys = {f"{TRUNK}{key}": old for key, old in keys.items()}
    return {key: state[old] for key, old in keys.items()}


def import_state(
    state: Mapping[str, Array],
    names: Mapping[str, str],
    shapes: Shapes,
    *,
    what: str | Path,
    allow_unused: Sequence[str] = (),
    allow_partial: bool = False,
) -> tuple[dict[str, Array], ImportReport]:
    """Values from a checkpoint under our names and in our shapes (NCHW, three input channels), float32.

    Batch norm's vectors of C numbers become (1, C, 1, 1); all other shapes are the original's.

    Args:
        state: key -> values, see `read_checkpoint`; wrappers' prefixes may still be there.
        names: our name -> key of every parameter that is wanted.
        shapes: our name -> shape, of the same parameters.
        what: the file, for the message.
        allow_unused: patterns (`fc.*`) of keys that the network need not have a place for.
        allow_partial: take what fits, and report the rest instead of raising.

    Raises:
        WeightsError: a shape differs, a key is missing or left over. One text has all of it, and what the file seems to be.
    """
    found = plain(state, names.values())
    taken = []
    parameters = {}
    wrong = []
    for name, key in names.items():
        if key not in found:
            continue
        values, shape = found[key], tuple(shapes[name])
        if values.shape != _original(name, shape):
            wrong.append(f"{key} {values.shape} instead of {_original(name, shape)}")
            continue
        parameters[name] = np.ascontiguousarray(values, np.float32).reshape(shape)
        taken.append(Layer(name=name, key=key, shape=shape, is_reshaped=values.shape != shape))
    keys = set(names.values())
    unused = tuple(key for key in found if key not in keys)
    missing = tuple(name for name in names if name not in parameters)
    absent = [names[name] for name in missing if names[name] not in found]
    surplus = [key for key in unused if not any(fnmatchcase(key, pattern) for pattern in allow_unused)]
    if not taken or ((wrong or absent or surplus) and not allow_partial):
        problems = [f"{len(wrong)} of another shape: {', '.join(wrong)}"] if wrong else []
        problems += [f"{len(absent)} not in the file: {_some(absent)}"] if absent else []
        problems += [f"{len(surplus)} not in the network: {_some(surplus)}"] if surplus else []
        cure = "; --allow-partial takes what fits" if taken else ""
        raise WeightsError(f"{what}: not the weights of this network: {_identity(found)}{'; '.join(problems)}{cure}")
    return parameters, ImportReport(taken=tuple(taken), unused=unused, missing=missing)


def _identity(state: Mapping[str, Array]) -> str:
    name = architecture({key: values.shape for key, values in state.items()})
    return "" if name is None else f"the file is a {name}; "


def _original(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Batch norm's (1, C, 1, 1) is a vector there."""
    return shape[1:2] if "/bn/" in name else shape


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:EXAMPLES]) + (", ..." if len(names) > EXAMPLES else "")
