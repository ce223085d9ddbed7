"""`centernet export` and `save_nnp.py`: a model file as .nnp or .onnx."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from centernet.cli import machine, options
from centernet.cli.options import Option
from centernet.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from centernet.experiment.assembly import Assembly

DESCRIPTION = """Write a network for deployment.

  centernet export --checkpoint FILE.h5 -o OUT                    raw heads as OUT/ARCH_LAYERS.nnp
  centernet export --checkpoint FILE.h5 --decode --format onnx    boxes, scores and classes, as ONNX

The file holds its class names, normalisation, stride and input size. Without --checkpoint the network that --dataset, --arch and
--num_layers name is written with untrained weights."""

SUFFIXES = (".nnp", ".onnx")
OWN = (
    Option(("--format",), "nnp (default) or onnx", frozenset({"export"}), choices=("nnp", "onnx")),
    Option(("--decode",), "give out boxes, scores and class ids instead of raw heads", frozenset({"export"}), constant=True),
    Option(("--K",), "detections per image, with --decode", frozenset({"export"}), parse=options.positive),
)


def main(typed: Sequence[str], *, program: str) -> int:
    """Write the file and say where it is."""
    parser = options.make_parser("export", DESCRIPTION, program=program, extra=OWN)
    arguments = options.parse(parser, "export", typed)
    given = vars(arguments)
    from centernet.experiment import export

    _check_format(given.get("output"), given.get("format"))
    assembly = _assembly(arguments)
    target = _target(given.get("output"), assembly.description.experiment, given.get("format"))
    written = export.export(
        assembly, target, format="onnx" if target.suffix == ".onnx" else "nnp", decode="decode" in given, k=given.get("K", 100)
    )
    size = "x".join(map(str, assembly.description.input_size))
    print(f"wrote {written} ({assembly.description.layout.upper()}, {assembly.description.input_channels} channels, input {size})")
    return 0


def _check_format(output: Path | None, format_: str | None) -> None:
    if output is not None and output.suffix and output.suffix not in SUFFIXES and not output.is_dir():
        raise ConfigError(f"-o {output}: expected a file that ends in {' or '.join(SUFFIXES)}, or a folder (make one with a dot first)")
    if output is not None and output.suffix in SUFFIXES and format_ not in (None, output.suffix[1:]):
        raise ConfigError(f"--format {format_} was typed, but -o names {output}")


def _target(output: Path | None, experiment: Mapping[str, Any], format_: str | None) -> Path:
    """The file to write: `-o` may name it, or the folder it goes to."""
    from centernet.experiment.family import words
    from centernet.experiment.output import default_folder, make_folder

    if output is not None and output.suffix in SUFFIXES:
        make_folder(output.parent)
        return output
    named = words(experiment)
    return make_folder(output or default_folder(experiment)) / f"{named['arch']}_{named['num_layers']}.{format_ or 'nnp'}"


def _assembly(arguments: argparse.Namespace) -> Assembly:
    """The network with a file's parameters, or as `--arch` names it with fresh ones."""
    from centernet.experiment import model_files, published
    from centernet.experiment.assembly import from_description
    from centernet.weights.store import read_parameters

    chosen = options.choice(arguments)
    path: Path | None = next((options.path(word) for word in arguments.words if word != arguments.task), vars(arguments).get("checkpoint"))
    if path is None:
        print("no --checkpoint: the weights are untrained")
        assembly = from_description(published.describe(chosen), source="command line")
        assembly.network.parameters()
        return assembly
    if path.suffix not in model_files.PARAMETER_FILES:
        raise WeightsError(f"{path}: '{path.suffix}' cannot be exported; expected parameters: {', '.join(model_files.PARAMETER_FILES)}")
    own = machine.description_of(path, chosen)
    own = replace(
        own,
        layout="nhwc" if "channel_last" in chosen.words else own.layout,
        input_channels=4 if "mixed_precision" in chosen.words else own.input_channels,
        input_size=chosen.input_size or own.input_size,
    )
    assembly = from_description(own, source=str(path))
    print(f"{path}: {model_files.fill(assembly, read_parameters(path), what=path)}")
    return assembly
