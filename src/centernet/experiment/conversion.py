"""A checkpoint of PyTorch as a parameter file that explains itself, with a report of what became of every layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from centernet.errors import ConfigError, OutputError, WeightsError, did_you_mean
from centernet.experiment import published
from centernet.experiment.assembly import from_description
from centernet.experiment.checkpoints import import_backbone, import_checkpoint
from centernet.experiment.choice import Choice
from centernet.experiment.description import Description
from centernet.experiment.origin import Origin, completed, identify, name_of, network_of
from centernet.weights.layout import Channels, Layout, convert
from centernet.weights.match import OTHER_HEADS
from centernet.weights.store import ParameterFile, write_atomically, write_parameters
from centernet.weights.torch_import import ImportReport

ALL = "all"  # heads to keep
EXAMPLES = 5  # names a line of the summary lists
MORE = ", ... (--report FILE.json has all)"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How to convert.

    layout, channels: of the written file. allow_partial: take what fits. keep_heads: heads that the task here has no use for, by
    name, or 'all' of them. report: where to write what became of every layer, as JSON.
    """

    layout: Layout = "nchw"
    channels: Channels = 3
    allow_partial: bool = False
    keep_heads: Sequence[str] = ()
    report: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was read. description: None of what is no detector."""

    source: Path
    origin: Origin
    architecture: str | None
    description: Description | None
    file: ParameterFile
    report: ImportReport
    kept: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def convert_checkpoint(source: Path, target: Path, choice: Choice, wish: Wish) -> str:
    """Write a checkpoint as `target` (.h5), and the report where it is wished for; files are written whole or not at all.

    Returns:
        A few lines that say what was done.

    Raises:
        WeightsError: the source cannot be read or is not safe, is of an unknown network, or not of the one that was chosen.
        ConfigError: its classes have no names, or what was typed is wrong. OutputError: a file cannot be written.
    """
    if target.suffix != ".h5":
        raise OutputError(f"{target}: parameters are written as .h5, not '{target.suffix}'")
    if wish.report is not None and not wish.report.absolute().parent.is_dir():
        raise OutputError(f"--report {wish.report}: there is no such folder")
    done = read(source, choice, wish)
    description = done.description and replace(done.description, layout=wish.layout, input_channels=wish.channels)
    parameters = convert(done.file.parameters, layout=wish.layout, channels=wish.channels)
    write_parameters(target, parameters, description=None if description is None else description.to_tree(), need_grad=done.file.need_grad)
    if wish.report is not None:
        write_atomically(wish.report, (json.dumps(report_tree(done, target), indent=1) + "\n").encode())
    return "\n".join([*summary(done), _written(target, done, wish), *([f"wrote {wish.report}"] if wish.report else [])])


def read(source: Path, choice: Choice, wish: Wish) -> Conversion:
    """The checkpoint as parameters of this project, NCHW; raises as `convert_checkpoint`."""
    origin = identify(source, choice)
    if origin.is_backbone or origin.is_of_another_task:
        return _part(source, origin, wish)
    chosen = completed(choice, origin, source=source)
    description = replace(published.describe(chosen), layout="nchw", input_channels=3)
    network = from_description(description, source=str(source)).network
    heads, used = origin.heads, {spec.scope for spec in network.heads.values()}
    kept = _kept(wish.keep_heads, [head for head in heads if head not in used])
    if not wish.allow_partial:
        _check_classes(source, origin, len(description.class_names))
    file, report = import_checkpoint(source, network, allow_partial=wish.allow_partial, keep_heads=kept, as_in_file=False)
    return Conversion(
        source=source,
        origin=origin,
        architecture=name_of(network),
        description=description,
        file=file,
        report=report,
        kept=kept,
        left_out=tuple(head for head in heads if head not in used and head not in kept),
    )


def _part(source: Path, origin: Origin, wish: Wish) -> Conversion:
    """A network without a detector's heads: an ImageNet backbone, or one with heads of another task, which all are kept."""
    network, heads = network_of(origin.architecture, origin.hidden_channels), tuple(origin.heads)
    if origin.is_backbone:
        file, report = import_backbone(source, network, allow_partial=wish.allow_partial)
    else:
        file, report = import_checkpoint(source, network, allow_partial=wish.allow_partial, keep_heads=heads)
    return Conversion(
        source=source, origin=origin, architecture=origin.architecture, description=None, file=file, report=report, kept=heads
    )


def summary(done: Conversion) -> list[str]:
    """What the checkpoint is and what became of its layers, in one line each."""
    report, reshaped = done.report, sum(layer.is_reshaped for layer in done.report.taken)
    wrong = [f"{fate.key} {fate.file_shape} instead of {fate.wanted_shape}" for fate in report.mismatched]
    heads = [f"{word:<9} {_named(names, 'head')}" for word, names in (("kept", done.kept), ("left out", done.left_out)) if names]
    return [
        f"{done.source}: {done.origin}",
        f"taken     {len(report.taken)} parameters, {reshaped} of them reshaped",
        *heads,
        f"unused    {_named(report.unused, 'key')}",
        *([f"misfits   {_named(wrong, 'key')}"] if wrong else []),
        f"missing   {_named(report.missing, 'parameter')}" + (": they have initial values" if report.missing else ""),
    ]


def report_tree(done: Conversion, target: Path) -> dict[str, Any]:
    """Everything that became of a checkpoint's layers, for JSON."""
    report = done.report
    return {
        "source": str(done.source),
        "target": str(target),
        "network": None if done.origin.is_assumed else done.origin.name,
        "architecture": done.architecture,
        "heads": dict(done.origin.heads),
        "heads_kept": list(done.kept),
        "heads_left_out": list(done.left_out),
        "taken": [{"name": layer.name, "key": layer.key, "shape": list(layer.shape)} for layer in report.taken],
        "reshaped": [layer.name for layer in report.taken if layer.is_reshaped],
        "unused": list(report.unused),
        "missing": list(report.missing),
        "mismatched": [fate.key for fate in report.mismatched],
        "layers": [asdict(fate) for fate in report.fates],
    }


def _kept(wanted: Sequence[str], spare: Sequence[str]) -> tuple[str, ...]:
    known = [head for head in spare if head in OTHER_HEADS]
    if tuple(wanted) == (ALL,):
        return tuple(known)
    unknown = next((head for head in wanted if head not in known), None)
    if unknown is not None:
        raise ConfigError(f"--keep-heads: '{unknown}' is no head that could be kept{did_you_mean(unknown, known)}")
    return tuple(wanted)


def _check_classes(source: Path, origin: Origin, num_classes: int) -> None:
    if origin.num_classes not in (None, num_classes):
        raise WeightsError(
            f"{source}: its heatmap has {origin.num_classes} classes, the data set {num_classes} (--dataset, --classes, --data_dir)"
        )


def _named(names: Sequence[str], what: str) -> str:
    if not names:
        return "none"
    return f"{len(names)} {what}{'s' * (len(names) > 1)}: {', '.join(names[:EXAMPLES])}{MORE * (len(names) > EXAMPLES)}"


def _written(target: Path, done: Conversion, wish: Wish) -> str:
    layout = f"{wish.layout.upper()}, {wish.channels} input channels"
    if done.description is None:
        if done.kept:
            return f"wrote {target}: {done.architecture} without the heads of a detector, {layout}"
        return f"wrote {target}: a backbone, {layout}; a training starts from it with --set model.pretrained_model_dir={target}"
    own, names = done.description, done.description.class_names
    classes = f"{len(names)} classes ({names[0]}, ...)" if len(names) > 1 else f"class {names[0]}"
    return f"wrote {target}: {done.architecture}, {classes}, input {'x'.join(map(str, own.input_size))}, {layout}"
