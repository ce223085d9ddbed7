"""From a model file to something that detects: `load`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

from centernet import config as configuration
from centernet.errors import ConfigError, DeviceError, WeightsError
from centernet.experiment import description as descriptions
from centernet.experiment import published
from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.checkpoints import check_heads, parameters_for
from centernet.experiment.choice import Choice, check_task
from centernet.experiment.description import Description
from centernet.experiment.detector import Detector, Options, detector, input_spec
from centernet.experiment.inference_graph import Machine, Runtime, precision_of
from centernet.experiment.origin import completed, identify
from centernet.export.nnp import PROTOCOL_ENTRY
from centernet.export.nnp import read_description as read_nnp_description
from centernet.export.onnx import read_metadata
from centernet.export.openvino_ir import read_ir_metadata
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.preprocess import NormalizingSession
from centernet.inference.session import NnpSession, OnnxRuntimeSession
from centernet.weights.identify import head_channels
from centernet.weights.layout import convert, shapes_of
from centernet.weights.match import LoadReport, assign
from centernet.weights.store import ParameterFile, read_description, read_parameters
from centernet.weights.torch_import import is_checkpoint

PARAMETER_FILES = (".h5", ".protobuf")
EXPORTED_FILES = (".nnp", ".onnx", ".xml")
DESCRIPTION_KEY, PROTOCOL_KEY = "centernet", "protocol"  # of the metadata of .onnx and .xml
RUNTIMES: dict[str, tuple[Runtime, ...]] = {".nnp": ("nnabla",), ".onnx": ("openvino", "onnxruntime"), ".xml": ("openvino",)}
NO_DESCRIPTION = "says nothing about its network; name it: --dataset, --arch and --num_layers, or --train-config"


def load(
    path: str | Path,
    *,
    described: Description | None = None,
    machine: Machine | None = None,
    options: Options | None = None,
    **settings: Any,
) -> Detector:
    """Open a model file (.h5, .protobuf, .nnp, .onnx or OpenVINO's .xml) or a PyTorch checkpoint for detection.

    Args:
        described: what a file without a description of its own holds; default: of a checkpoint, what its keys tell.
        machine, options: where and how; or their fields as keywords: `load(path, runtime="nnabla", k=50)`.

    Raises:
        WeightsError: the file is missing, damaged, of another network, or does not say what it is.
        ConfigError: an option does not fit the file. DeviceError: the runtime asked for cannot be had.
    """
    path = Path(path)
    machine, options = with_settings(machine or Machine(), options or Options(), settings)
    if is_checkpoint(path):
        own = described or published.describe(completed(Choice(), identify(path), source=path))
        assembly = from_description(for_machine(own, machine), source=str(path))
        fill(assembly, parameters_for(assembly.network, path), what=path)
        return _with_k(detector(assembly, machine, options), settings)
    if path.suffix in PARAMETER_FILES:
        file = read_parameters(path)
        assembly = from_description(for_machine(described_by(path, file, described), machine), source=str(path))
        fill(assembly, file, what=path)
        return _with_k(detector(assembly, machine, options), settings)
    own, protocol = _exported_description(path), protocol_of(path)
    if not protocol.get("size_is_open"):
        _check_exported(path, own, options)
    assembly = from_description(own, source=str(path))
    session = _exported_session(path, machine, layout=own.layout, stored=protocol.get("precision", "float32"))
    has_maps = {head.scope for head in assembly.task.heads.values()} <= set(session.output_names)
    if options.flip_test and not has_maps:
        raise ConfigError(
            f"{path}: was exported with --decode, so the mirror image's maps cannot be merged (--flip_test); "
            "use the parameters (.h5), or a file exported without --decode"
        )
    takes_pixels = session if session.takes_pixels else NormalizingSession(session, input_spec(assembly, options))
    options = replace(options, with_maps=has_maps)  # whatever was asked for, that is what there is
    found = Detector(takes_pixels, assembly, options, mirrors_inside=False, most=protocol.get("k"), has_maps=has_maps)
    return _with_k(found, settings)


def _with_k(found: Detector, settings: Mapping[str, Any]) -> Detector:
    """The detector, if it can give as many detections as the settings name."""
    if "k" in settings:
        found.check_k(settings["k"], name="load: k")
    return found


def own_description(path: Path) -> Description | None:
    """What a model file says of itself; None: parameters without a word, as published ones and checkpoints are.

    Raises:
        WeightsError: as `load`.
    """
    if is_checkpoint(path):
        return None
    if path.suffix not in PARAMETER_FILES:
        return _exported_description(path)
    tree = read_description(path)
    return None if tree is None else descriptions.read(tree, source=str(path))


def with_its_experiment(choice: Choice, path: Path) -> Choice:
    """What was typed, and where it names no network, what the parameter file that a training starts from says of itself.

    Raises:
        WeightsError: the file cannot be read. ConfigError: it is for another task than was typed.
    """
    if choice.yaml is not None or {"arch", "num_layers"} & choice.words.keys() or path.suffix not in PARAMETER_FILES:
        return choice
    own = own_description(path)
    if own is None:
        return choice
    check_task(choice.task, own.experiment, source=str(path))
    return replace(choice, start=own.experiment)


def described_by(path: Path, file: ParameterFile, described: Description | None) -> Description:
    """What a parameter file holds: its own words where it has some, else what it was called; WeightsError without both."""
    if file.description is not None:
        return descriptions.read(file.description, source=str(path))
    if described is None:
        raise WeightsError(f"{path}: {NO_DESCRIPTION}")
    return described


def for_machine(description: Description, machine: Machine) -> Description:
    """The same network as the machine can run it: on a CPU NCHW with three channels, whatever it was trained with."""
    if machine.device().is_gpu:
        return description
    return replace(description, layout="nchw", input_channels=3)


def fill(assembly: Assembly, file: ParameterFile, *, what: str | Path) -> LoadReport:
    """Copy a file's parameters into the network, converted to its layout and channels; WeightsError where they do not fit."""
    network = assembly.network
    check_heads(what, head_channels(shapes_of(file.parameters)), network)
    try:
        parameters = convert(file.parameters, layout=network.layout, channels=assembly.description.input_channels)
    except WeightsError as error:
        raise WeightsError(f"{what}: {error}") from None
    return assign(parameters, network.parameters(drawn=False), what=what)


def _exported_session(path: Path, machine: Machine, *, layout: str, stored: str) -> NnpSession | OnnxRuntimeSession | OpenVinoSession:
    """What runs an exported file whose numbers are `stored` in a precision.

    Raises:
        ConfigError: the runtime asked for does not read such files. DeviceError: it cannot compute in their layout here.
    """
    runtimes = RUNTIMES[path.suffix]
    runtime = runtimes[0] if machine.runtime == "auto" else machine.runtime
    if runtime not in runtimes:
        raise ConfigError(f"{path}: runtime {runtime} does not read {path.suffix} files; expected {' or '.join(runtimes)}")
    if runtime == "nnabla":
        device = machine.device()
        if layout == "nhwc" and not device.is_gpu:
            raise DeviceError(f"{path}: was exported in NHWC, which NNabla computes on GPUs only; export it without --channel_last")
        return NnpSession(path, context=device.context)
    if runtime == "onnxruntime":
        return OnnxRuntimeSession(path, threads=machine.threads, stored=stored)
    precision = precision_of(machine, runtime)
    return OpenVinoSession(path, precision=precision, threads=machine.threads, performance=machine.performance, stored=stored)


def _exported_description(path: Path) -> Description:
    if path.is_dir():
        raise WeightsError(f"{path}: is a folder, expected a model file; `test --checkpoint_dir` takes all of a folder's")
    if path.suffix not in EXPORTED_FILES:
        raise WeightsError(f"{path}: '{path.suffix}' is not a model file; expected .h5, .protobuf, .nnp, .onnx or .xml, or .pth")
    if not path.is_file():
        raise WeightsError(f"{path}: no such model file")
    text = _text_of(path, DESCRIPTION_KEY)
    if text is None:
        raise WeightsError(f"{path}: holds no description 'centernet', so it was not exported by this project")
    return descriptions.read(text, source=str(path))


def protocol_of(path: Path) -> dict[str, Any]:
    """How an exported file is to be used, as it says itself; empty for one that was exported before files said so."""
    text = _text_of(path, PROTOCOL_KEY)
    found: dict[str, Any] = {} if text is None else json.loads(text)
    return found


def _text_of(path: Path, key: str) -> str | None:
    if path.suffix == ".nnp":
        return read_nnp_description(path, entry=PROTOCOL_ENTRY) if key == PROTOCOL_KEY else read_nnp_description(path)
    return (read_ir_metadata(path) if path.suffix == ".xml" else read_metadata(path)).get(key)


def _check_exported(path: Path, own: Description, options: Options) -> None:
    if options.input_size is not None and options.input_size != own.input_size:
        size, asked = "x".join(map(str, own.input_size)), "x".join(map(str, options.input_size))
        raise ConfigError(f"{path}: was exported for input {size}, found --input_res {asked}; use the parameters (.h5), or export again")
    if options.keep_resolution:
        raise ConfigError(f"{path}: was exported for one input size, so --keep_res does not fit; use the parameters (.h5)")


def with_settings(machine: Machine, options: Options, settings: Mapping[str, Any]) -> tuple[Machine, Options]:
    """The two with their fields of these names replaced; ConfigError where neither has one, or a value does not fit."""
    own = {key: value for key, value in settings.items() if key in Machine.__dataclass_fields__}
    rest = {key: configuration.to_tree(value) if is_dataclass(value) else value for key, value in settings.items() if key not in own}
    unknown = sorted(set(rest) - set(Options.__dataclass_fields__))
    if unknown:
        known = sorted([*Machine.__dataclass_fields__, *Options.__dataclass_fields__])
        raise ConfigError(f"load: unknown setting '{unknown[0]}'; known: {', '.join(known)}")
    checked_machine = configuration.validate(Machine, {**vars(machine), **own}, source="load") if own else machine
    return checked_machine, configuration.validate(Options, {**configuration.to_tree(options), **rest}, source="load") if rest else options
