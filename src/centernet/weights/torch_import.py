"""A PyTorch checkpoint as parameters of our own: read, freed of wrappers and prefixes, renamed, and reported layer by layer."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from centernet.errors import WeightsError, first_of
from centernet.weights.match import Shapes
from centernet.weights.safetensors_file import read_safetensors, read_safetensors_shapes
from centernet.weights.store import Array
from centernet.weights.torch_file import read_torch, read_torch_shapes
from centernet.weights.torch_identify import architecture

LOG = logging.getLogger(__name__)

Value = TypeVar("Value")

SAFETENSORS = ".safetensors"
SUFFIXES = (".pth", ".pt", ".pkl", ".t7", ".tar", ".ckpt", ".bin", SAFETENSORS)
PREFIXES = ("module.", "_orig_mod.")  # of models that were saved inside DataParallel, or compiled
COMMON_PREFIXES = ("model.", "net.", "network.", "backbone.")  # taken off where every key has them
TRUNK = "base."  # in front of a backbone's keys in a detector, not in the same backbone's ImageNet checkpoint
EXAMPLES = 5  # names a summary lists of each kind
# How a rewritten system (CenterNet-47) calls modules of the original it rewrote (arXiv:1904.08189), and the original.
RESPELT = (
    (re.compile(r"^(kps\.\d+\.(?:low2\.)*)top\."), r"\1up1."),
    (re.compile(r"^cnvs_(tl|br|ct)\."), r"\1_cnvs."),
    (re.compile(r"^hmap_(tl|br|ct)\."), r"\1_heats."),
    (re.compile(r"^embd_(tl|br)\."), r"\1_tags."),
    (re.compile(r"^regs_(tl|br|ct)\."), r"\1_regrs."),
    (re.compile(r"^((?:tl|br)_cnvs\.\d+\.)p([12]_look_conv)\."), r"\1P\2."),
)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One parameter that was taken; `is_reshaped`: its values are the same, in another shape."""

    name: str
    key: str
    shape: tuple[int, ...]
    is_reshaped: bool


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of one layer. key: the file's own, None where it is missing there. name: ours, None where we have no place.

    Shapes are those in the file and in the network.
    """

    became: Literal["taken", "reshaped", "mismatched", "missing", "unused"]
    key: str | None
    name: str | None
    file_shape: tuple[int, ...] | None
    wanted_shape: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What became of every parameter; keys are those of the file.

    taken: in our order. unused: keys of the checkpoint that the network has no place for. missing: our names that the
    checkpoint has no values for, or of another shape; they keep their initial values. fates: of every layer, our names
    first. unused_plain: the unused keys without what wraps the model.
    """

    taken: tuple[Layer, ...]
    unused: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    fates: tuple[Fate, ...] = ()
    unused_plain: tuple[str, ...] = ()

    @property
    def mismatched(self) -> tuple[Fate, ...]:
        """Those that both have, in different shapes."""
        return tuple(fate for fate in self.fates if fate.became == "mismatched")

    def __str__(self) -> str:
        """One line for the log."""
        reshaped = sum(layer.is_reshaped for layer in self.taken)
        parts = [f"{len(self.taken)} parameters taken, {reshaped} of them reshaped"]
        left = ((self.unused, "unused"), (self.missing, "missing"))
        parts += [f"{len(names)} {word}: {first_of(names, EXAMPLES)}" for names, word in left if names]
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
    """The same values under the keys that the model itself has, without what wraps it, in the original's spelling.

    wanted: the keys looked for.
    """
    return {key: state[own] for key, own in own_keys(state, wanted).items()}


def own_keys(state: Iterable[str], wanted: Iterable[str] = ()) -> dict[str, str]:
    """The key that the model itself has -> the file's own, of every key; see `plain`."""
    keys, before = {_respelt(key): key for key in state}, None
    wanted = set(wanted)
    while keys and list(keys) != before and not wanted & set(keys):
        before = list(keys)
        shared = tuple(prefix for prefix in COMMON_PREFIXES if all(key.startswith(prefix) for key in keys))
        shorter = {_respelt(_without(key, (*PREFIXES, *shared))): own for key, own in keys.items()}
        keys = shorter if len(shorter) == len(keys) else keys  # two keys must not become one
    if not wanted & set(keys) and any(f"{TRUNK}{key}" in wanted for key in keys):
        keys = {f"{TRUNK}{key}": own for key, own in keys.items()}
    return keys


def _respelt(key: str) -> str:
    for pattern, original in RESPELT:
        key = pattern.sub(original, key)
    return key


def _without(key: str, prefixes: Sequence[str]) -> str:
    return key.removeprefix(next((prefix for prefix in prefixes if key.startswith(prefix)), ""))


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
    own = own_keys(state, names.values())
    known = set(names.values())
    fates = [_fate(name, key, own, state, tuple(shapes[name])) for name, key in names.items()]
    taken = [
        Layer(name=fate.name, key=fate.key, shape=fate.wanted_shape, is_reshaped=fate.became == "reshaped")
        for fate in fates
        if fate.became in ("taken", "reshaped") and fate.name and fate.key and fate.wanted_shape is not None
    ]
    spare = {key: old for key, old in own.items() if key not in known}
    fates += [Fate(became="unused", key=old, name=None, file_shape=state[old].shape, wanted_shape=None) for old in spare.values()]
    report = ImportReport(
        taken=tuple(taken),
        unused=tuple(spare.values()),
        missing=tuple(fate.name for fate in fates if fate.became in ("missing", "mismatched") and fate.name),
        fates=tuple(fates),
        unused_plain=tuple(spare),
    )
    absent = [key for key in names.values() if key not in own]
    surplus = [old for key, old in spare.items() if not any(fnmatchcase(key, pattern) for pattern in allow_unused)]
    if not taken or ((report.mismatched or absent or surplus) and not allow_partial):
        is_a = _identity({key: state[old].shape for key, old in own.items()})
        cure = "; --allow-partial takes what fits" if taken else ""
        problems = "; ".join(_problems(report.mismatched, absent, surplus))
        raise WeightsError(f"{what}: not the weights of this network: {is_a}{problems}{cure}")
    values = {layer.name: np.ascontiguousarray(state[layer.key], np.float32).reshape(layer.shape) for layer in taken}
    odd = [layer.key for layer in taken if not np.isfinite(values[layer.name]).all()]
    if odd:
        LOG.warning("%s: NaN or infinite numbers in %d of its layers: %s", what, len(odd), ", ".join(odd))
    return values, report


def _fate(name: str, key: str, own: Mapping[str, str], state: Mapping[str, Array], shape: tuple[int, ...]) -> Fate:
    """Of a parameter that is wanted."""
    if key not in own:
        return Fate(became="missing", key=None, name=name, file_shape=None, wanted_shape=shape)
    found = state[own[key]].shape
    became: Literal["taken", "reshaped", "mismatched"] = "taken" if found == shape else "reshaped"
    if found != _original(name, shape):
        became = "mismatched"
    return Fate(became=became, key=own[key], name=name, file_shape=found, wanted_shape=shape)


def _problems(mismatched: Sequence[Fate], absent: Sequence[str], surplus: Sequence[str]) -> list[str]:
    """One text for each kind of what does not fit; every layer is in it."""
    wrong = [f"{fate.key} {fate.file_shape} instead of {_original(fate.name or '', fate.wanted_shape or ())}" for fate in mismatched]
    kinds = (("of another shape", wrong), ("not in the file", absent), ("not in the network", surplus))
    return [f"{len(names)} {kind}: {', '.join(names)}" for kind, names in kinds if names]


def _identity(shapes: Shapes) -> str:
    name = architecture(shapes)
    return "" if name is None else f"the file is a {name}; "


def _original(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Batch norm's (1, C, 1, 1) is a vector there."""
    return shape[1:2] if "/bn/" in name else shape
