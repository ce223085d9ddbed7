"""Training that starts from a model of other classes, or trains a part of the network only."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from centernet.engine.patterns import matching
from centernet.engine.solver import SolverConfig, grouped, is_without_decay
from centernet.errors import ConfigError, WeightsError
from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.checkpoints import check_heads
from centernet.models.network import Network
from centernet.weights.identify import head_channels
from centernet.weights.layout import convert, shapes_of
from centernet.weights.match import LoadReport, assign
from centernet.weights.store import ParameterFile

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What a training began with. report: of the parameters taken. redrawn: name → shape in the file, of those that were not."""

    report: LoadReport
    redrawn: dict[str, Shape]
    shapes: dict[str, Shape]

    def __str__(self) -> str:
        """A line for the whole, and one for each parameter that begins anew."""
        lines = [
            f"  {name}: begins anew, for another number of classes; {_by(self.shapes[name])} instead of {_by(found)}"
            for name, found in self.redrawn.items()
        ]
        return "\n".join([str(self.report), *lines])


def begin_with(assembly: Assembly, file: ParameterFile, *, what: str | Path) -> Beginning:
    """Copy a file's parameters into the network; where the file is for another number of classes, all but those that depend on it.

    Raises:
        WeightsError: they do not fit for another reason.
    """
    network = assembly.network
    check_heads(what, head_channels(shapes_of(file.parameters)), network)
    try:
        parameters = convert(file.parameters, layout=network.layout, channels=assembly.description.input_channels)
    except WeightsError as error:
        raise WeightsError(f"{what}: {error}") from None
    shapes = network.parameter_shapes()
    differ = [name for name, shape in shapes.items() if name in parameters and parameters[name].shape != shape]
    others = shapes_of_more_classes(assembly) if differ else {}
    redrawn = {name: parameters[name].shape for name in differ if _differ_by_classes(parameters[name].shape, shapes[name], others[name])}
    kept = {name: values for name, values in parameters.items() if name not in redrawn}
    report = assign(kept, network.parameters(), what=what, allow_missing=tuple(redrawn))
    missing = tuple(name for name in report.missing if name not in redrawn)
    return Beginning(report=replace(report, missing=missing), redrawn=redrawn, shapes=shapes)


def shapes_of_more_classes(assembly: Assembly) -> dict[str, Shape]:
    """Name and shape of every parameter, were there one class more: those that differ from the network's depend on the classes."""
    own = assembly.description
    names = (*own.class_names, " ".join(own.class_names) + "+")  # none of them
    more = replace(own, class_names=names, category_ids=(*own.category_ids, max(own.category_ids) + 1))
    return from_description(more, source="one class more").network.parameter_shapes()


def frozen_names(patterns: Sequence[str], network: Network) -> frozenset[str]:
    """The names of parameters and running statistics that `train.freeze` matches.

    Raises:
        ConfigError: a pattern matches none, or nothing is left to train.
    """
    names = list(network.parameter_shapes())
    found = [matching(pattern, names, key=f"train.freeze.{index}") for index, pattern in enumerate(patterns)]
    frozen = frozenset(name for part in found for name in part)
    if all(name in frozen for name, is_trained in network.trainable.items() if is_trained):
        raise ConfigError(f"train.freeze: {', '.join(patterns)} match every parameter; nothing is left to train")
    return frozen


def plan(solver: SolverConfig, frozen: Collection[str], network: Network) -> list[str]:
    """What is trained how, a line for each part that is not trained as all others are.

    Raises:
        ConfigError: a group's pattern matches no parameter that is left to it, or the groups hold all that is not frozen.
    """
    trainable = [name for name, is_trained in network.trainable.items() if is_trained]
    shapes = network.parameter_shapes()
    lines = []
    if frozen:
        values = sum(math.prod(shapes[name]) for name in trainable if name in frozen)
        lines.append(f"frozen: {sum(name in frozen for name in trainable)} parameters ({values / 1e6:.2f} million values)")
    for group, names in zip(solver.groups, grouped(solver.groups, trainable)[:-1], strict=True):
        decay = "" if group.weight_decay is None else f", weight decay {group.weight_decay:g}"
        lines.append(f"{group.pattern}: {len(names)} parameters with {group.lr_factor:g} times the learning rate{decay}")
    if not any(name not in frozen for name in _moving(solver, trainable)):
        raise ConfigError(
            "train.solver.groups: lr_factor 0 holds every parameter that train.freeze leaves; nothing is left to train"
            if frozen
            else "train.solver.groups: lr_factor 0 holds every parameter; nothing is left to train"
        )
    if solver.no_decay and solver.weight_decay:
        number = sum(is_without_decay(name, solver.no_decay) for name in trainable)
        lines.append(f"no weight decay: {number} parameters ({', '.join(solver.no_decay).replace('_', ' ')})")
    if solver.layer_decay != 1:
        parts = stages_of(network)
        first = f"{solver.layer_decay ** len(parts):.3g} times the learning rate in that of {parts[0][0]}"
        lines.append(f"backbone: {len(parts)} stages, {first}, {solver.layer_decay:g} times in that of {parts[-1][0]}")
    return lines


def _moving(solver: SolverConfig, trainable: Sequence[str]) -> list[str]:
    """The parameters whose learning rate is not held at 0."""
    *own, rest = grouped(solver.groups, trainable)
    return [*rest, *(name for group, names in zip(solver.groups, own, strict=True) if group.lr_factor for name in names)]


def stages_of(network: Network) -> list[list[str]]:
    """The names of the backbone's parameters, stage by stage from the image on.

    A stage is what has the first part of its name in common (`res1`), or the first two where all begin alike (`features/0`).
    """
    names = list(network.backbone_shapes())
    for depth in (1, 2):
        stages: dict[tuple[str, ...], list[str]] = {}
        for name in names:
            stages.setdefault(tuple(name.split("/")[:depth]), []).append(name)
        if len(stages) > 1:
            break
    return list(stages.values())


def _differ_by_classes(found: Shape, own: Shape, more: Shape) -> bool:
    """Whether a file's shape is the network's but for the axes that one class more changes."""
    return own != more and len(found) == len(own) and all(f == o or o != m for f, o, m in zip(found, own, more, strict=True))


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))
