"""`centernet export` and `save_nnp.py`: a model file as .nnp, .onnx or OpenVINO's .xml, proved on images."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from centernet.cli import machine, parsing, values
from centernet.cli.options import Option
from centernet.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from centernet.experiment.assembly import Assembly
    from centernet.experiment.choice import Choice
    from centernet.experiment.export import ExportOptions
    from centernet.experiment.schema import DataConfig

DESCRIPTION = """Write a network for deployment.

  centernet export FILE.h5 -o OUT                                raw heads as OUT/ARCH_LAYERS.nnp
  centernet export FILE.h5 --decode --format onnx                from pixels to boxes, scores and classes, as ONNX
  centernet export FILE.h5 --decode -o FILE.xml --precision int8 --data_dir DIR

The file holds its class names, normalisation, stride and input size. It is compared with the network on images, in every runtime
that is installed: the report is printed and stored as FILE.parity.json, and a file that differs is not written. With --data_dir AP is
measured before and after. Without a checkpoint the network that --dataset, --arch and --num_layers name is written untrained."""

SUFFIXES = {"nnp": ".nnp", "onnx": ".onnx", "openvino": ".xml"}
HERE = frozenset({"export"})
OWN = (
    Option(("--format",), "nnp (default), onnx, or openvino (.xml and .bin)", HERE, choices=tuple(SUFFIXES)),
    Option(
        ("--decode",), "from pixels to boxes, scores and class ids, instead of from normalised images to raw heads", HERE, constant=True
    ),
    Option(("--K",), "detections per image, with --decode", HERE, parse=values.positive),
    Option(
        ("--input-size", "--input_size"),
        "height and width of the input (default: the file's)",
        HERE,
        parse=values.positive,
        settings={"nargs": 2, "metavar": ("H", "W")},
    ),
    Option(("--dynamic",), "leave height and width open (multiples of 32); not for nnp", HERE, constant=True),
    Option(
        ("--precision",),
        "float32 (default); float16 or bfloat16: half the file; int8: calibrated, needs the extra 'int8'; not for nnp",
        HERE,
        choices=("float32", "float16", "bfloat16", "int8"),
    ),
    Option(
        ("--deform",),
        "deformable convolutions as gridsample, which every runtime has (default for onnx), or operator (default for openvino)",
        HERE,
        choices=("gridsample", "operator"),
    ),
    Option(("--images",), "image, folder or 'PATTERN*.jpg' to compare on (default: the validation split's, else drawn scenes)", HERE),
    Option(("--calibration",), "the same, to calibrate int8 with (default: the training split's)", HERE),
    Option(
        ("--max-drop", "--max_drop"), "AP points the file may lose on the validation split (default 1.0)", HERE, parse=values.not_negative
    ),
)


def main(typed: Sequence[str], *, program: str) -> int:
    """Write the file, prove it, and say where it is."""
    parser = parsing.make_parser("export", DESCRIPTION, program=program, extra=OWN)
    arguments = parsing.parse(parser, "export", typed)
    given = vars(arguments)
    from centernet.experiment import delivery
    from centernet.experiment.output import output_folder

    output = given.get("output")
    wanted, chosen = _wanted(given), _choice(arguments)
    assembly = _assembly(arguments, chosen)
    _check_k(given, assembly)
    material = delivery.Material(
        data=_data(arguments, chosen, assembly),
        images=given.get("images"),
        calibration=given.get("calibration"),
        max_drop=given.get("max_drop", 1.0),
    )
    if "max_drop" in given and material.data is None:
        raise ConfigError(f"--max-drop {material.max_drop:g}: AP is measured on a data set only; give --data_dir DIR too")
    target = _target(output, assembly.description.experiment, wanted.format)
    with output_folder(target.parent):
        delivery.deliver(assembly, target, wanted, material)
    size = "x".join(map(str, assembly.description.input_size)) + (" or any other" if wanted.dynamic else "")
    print(f"wrote {target} ({assembly.description.layout.upper()}, {assembly.description.input_channels} channels, input {size})")
    return 0


def _wanted(given: Mapping[str, Any]) -> ExportOptions:
    """What to write, as it was typed."""
    from centernet.experiment.export import ExportOptions

    output, format_ = given.get("output"), given.get("format")
    _check_format(output, format_)
    if output is not None and output.suffix in SUFFIXES.values():
        format_ = next(name for name, suffix in SUFFIXES.items() if suffix == output.suffix)
    if "K" in given and "decode" not in given:
        print(f"--K {given['K']}: no effect without --decode; the raw heads hold every cell")
    return ExportOptions(
        format=format_ or "nnp",
        decode="decode" in given,
        k=given.get("K", 100),
        dynamic="dynamic" in given,
        precision=given.get("precision", "float32"),
        deform=given.get("deform"),
    )


def _check_k(given: Mapping[str, Any], assembly: Assembly) -> None:
    """ConfigError where more detections were typed than the heatmap has cells."""
    from centernet.experiment.detector import num_places

    height, width = assembly.description.input_size
    most = num_places(assembly, (height, width))
    if "decode" in given and given.get("K", 0) > most:
        raise ConfigError(
            f"--K: found {given['K']}, expected at most {most}, the cells of the heatmap for an input of {width}x{height} pixels"
        )


def _choice(arguments: argparse.Namespace) -> Choice:
    """What was typed, `--input-size` like the family's own options for it."""
    chosen, typed = parsing.choice(arguments), vars(arguments).get("input_size")
    if typed is None:
        return chosen
    if chosen.input_size not in (None, tuple(typed)):
        raise ConfigError("--input-size, and --input_res or --input_h and --input_w: give one of them")
    return replace(chosen, input_size=(typed[0], typed[1]))


def _data(arguments: argparse.Namespace, chosen: Choice, assembly: Assembly) -> DataConfig | None:
    """The data set to measure AP on: of a typed folder or YAML; None where neither names one."""
    from centernet.experiment import choice as choices

    if chosen.yaml is not None:
        data = choices.experiment(chosen).data
    elif "data_dir" in vars(arguments) or any(text.startswith("data.") for text in chosen.assignments):
        data = choices.from_description(chosen, assembly.description.experiment, source="the checkpoint").data
    else:
        return None
    return data if data.root is not None else None


def _check_format(output: Path | None, format_: str | None) -> None:
    if output is None or not output.suffix or output.is_dir():
        return
    if output.suffix not in SUFFIXES.values():
        known = ", ".join(SUFFIXES.values())
        raise ConfigError(f"-o {output}: expected a file that ends in one of {known}, or a folder (make one with a dot first)")
    if format_ is not None and SUFFIXES[format_] != output.suffix:
        raise ConfigError(f"--format {format_} was typed, but -o names {output}")


def _target(output: Path | None, experiment: Mapping[str, Any], format_: str) -> Path:
    """The file to write: `-o` may name it, or the folder it goes to."""
    from centernet.experiment.family import short_name
    from centernet.experiment.output import default_folder

    if output is not None and output.suffix in SUFFIXES.values() and not output.is_dir():
        return output
    return (output or default_folder(experiment)) / f"{short_name(experiment)}{SUFFIXES[format_]}"


def _assembly(arguments: argparse.Namespace, chosen: Choice) -> Assembly:
    """The network with a file's parameters, or as `--arch` names it with fresh ones."""
    from centernet.experiment import model_files, published
    from centernet.experiment.assembly import from_description
    from centernet.experiment.checkpoints import parameters_for
    from centernet.weights.torch_import import is_checkpoint

    path: Path | None = next((values.path(word) for word in arguments.words if word != arguments.task), vars(arguments).get("checkpoint"))
    if path is None:
        print("no --checkpoint: the weights are untrained")
        assembly = from_description(published.describe(chosen), source="command line")
        assembly.network.parameters()
        return assembly
    if path.suffix not in model_files.PARAMETER_FILES and not is_checkpoint(path):
        raise WeightsError(f"{path}: '{path.suffix}' cannot be exported; expected parameters: {', '.join(model_files.PARAMETER_FILES)}")
    own = machine.description_of(path, chosen)
    own = replace(
        own,
        layout="nhwc" if "channel_last" in chosen.words else own.layout,
        input_channels=4 if "mixed_precision" in chosen.words else own.input_channels,
        input_size=chosen.input_size or own.input_size,
    )
    assembly = from_description(own, source=str(path))
    print(f"{path}: {model_files.fill(assembly, parameters_for(assembly.network, path), what=path)}")
    return assembly
