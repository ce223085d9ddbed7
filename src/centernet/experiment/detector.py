"""From a model file to something that detects: `load`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import nnabla as nn
import numpy as np
from pydantic import Field

from centernet import config as configuration
from centernet.engine.context import Device, Extension, resolve
from centernet.errors import ConfigError, DeviceError, WeightsError
from centernet.experiment import description as descriptions
from centernet.experiment.assembly import Assembly, from_description
from centernet.experiment.description import Description
from centernet.experiment.schema import Positive, TestConfig
from centernet.export.nnp import read_description as read_nnp_description
from centernet.export.onnx import read_metadata, to_onnx
from centernet.inference.predictor import Inspection, Predictor
from centernet.inference.preprocess import InputSpec
from centernet.inference.session import NnablaSession, NnpSession, OnnxRuntimeSession, OpenVinoSession, Session, fastest_precision
from centernet.structures import Array, Detections
from centernet.weights.layout import convert
from centernet.weights.match import LoadReport, assign
from centernet.weights.store import ParameterFile, read_description, read_parameters

Runtime = Literal["auto", "openvino", "nnabla", "onnxruntime"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]
PARAMETER_FILES = (".h5", ".protobuf")
DESCRIPTION_KEY = "centernet"  # of ONNX metadata
NO_DESCRIPTION = "says nothing about its network; name it: --dataset, --arch and --num_layers, or --train-config"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a detector runs on.

    runtime: auto is OpenVINO on a CPU and NNabla on a GPU. precision: auto is bfloat16 on a CPU with AMX, else float32.
    extension, gpu: as `engine.context.resolve` takes them.
    threads: of OpenVINO or ONNX Runtime; None: all cores.
    """

    runtime: Runtime = "auto"
    precision: PrecisionChoice = "auto"
    extension: Extension = "auto"
    gpu: Annotated[int, Field(ge=0)] | None = 0
    threads: Positive | None = None

    def device(self) -> Device:
        """NNabla's; DeviceError where what was asked for is not there."""
        return resolve(self.extension, gpu=self.gpu)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to detect; None is what the file says, or the task's default. See `schema.TestConfig`."""

    k: Positive = 100
    max_detections: Positive = 128
    input_size: tuple[Positive, Positive] | None = None
    keep_resolution: bool = False
    scales: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (1.0,)
    batch_size: Positive = 1
    with_maps: bool = False  # also give the heatmap out, for drawing


def options_of(test: TestConfig) -> Options:
    """How a configuration's section `test` says to detect."""
    names = ("k", "max_detections", "keep_resolution", "scales", "batch_size")
    return Options(**{name: getattr(test, name) for name in names})


class Detector(Predictor):
    """A `Predictor` that knows its classes and where it came from: what `centernet.load` returns."""

    def __init__(self, session: Session, assembly: Assembly, options: Options) -> None:
        self.description = assembly.description
        self.assembly = assembly
        self._k = options.k
        super().__init__(
            session,
            self._read_outputs,
            input_spec(assembly.description, options),
            class_names=assembly.description.class_names,
            scales=options.scales,
            merge=partial(assembly.task.merge_scales, limit=options.max_detections),
            batch_size=options.batch_size,
        )

    def _read_outputs(self, outputs: dict[str, Array]) -> list[Detections]:
        """What the graph decoded, or, from a file with raw heads under their published names, what is decoded here."""
        task = self.assembly.task
        published = {head.scope: name for name, head in task.heads.items()}
        if not published.keys() <= outputs.keys():
            return task.read_decoded(outputs)
        axes = (0, 3, 1, 2) if self.description.layout == "nhwc" else (0, 1, 2, 3)
        raw = {name: outputs[scope].transpose(axes) for scope, name in published.items()}
        return task.decode(raw, k=min(self._k, raw[next(iter(raw))][0].size), stride=self.description.stride)

    def in_input(self, inspection: Inspection) -> Detections:
        """What `inspect` found, in pixels of the network's input."""
        return self._read_outputs(inspection.outputs)[0]

    def heatmaps(self, inspection: Inspection) -> Array:
        """The heatmaps of all classes, (C, h, w) in [0, 1]; parameters must have been opened `with_maps`.

        Raises:
            ConfigError: the model is an exported file that gives detections only.
        """
        name, head = next((name, head) for name, head in self.assembly.task.heads.items() if head.kind == "heatmap")
        logits = next((inspection.outputs[key][0] for key in (name, head.scope) if key in inspection.outputs), None)
        if logits is None:
            raise ConfigError("--debug 2: the model was exported with --decode, without heatmaps; use --debug 1, or the parameters (.h5)")
        if self.description.layout == "nhwc":
            logits = logits.transpose(2, 0, 1)
        return np.asarray(1 / (1 + np.exp(-logits)))


def load(
    path: str | Path,
    *,
    described: Description | None = None,
    machine: Machine | None = None,
    options: Options | None = None,
    **settings: Any,
) -> Detector:
    """Open a model file (.h5, .protobuf, .nnp or .onnx) for detection.

    Args:
        described: what a published file without a description of its own holds.
        machine, options: where and how; or their fields as keywords: `load(path, runtime="nnabla", k=50)`.

    Raises:
        WeightsError: the file is missing, damaged, of another network, or does not say what it is.
        ConfigError: an option does not fit the file. DeviceError: the runtime asked for cannot be had.
    """
    path = Path(path)
    machine, options = _with_settings(machine or Machine(), options or Options(), settings)
    if path.suffix in PARAMETER_FILES:
        file = read_parameters(path)
        assembly = from_description(for_machine(described_by(path, file, described), machine), source=str(path))
        fill(assembly, file, what=path)
        return detector(assembly, machine, options)
    own = _exported_description(path)
    _check_exported(path, own, options)
    assembly = from_description(own, source=str(path))
    return Detector(_exported_session(path, machine, layout=own.layout), assembly, options)


def own_description(path: Path) -> Description | None:
    """What a model file says of itself; None: parameters without a word, as published ones are. WeightsError as `load`."""
    if path.suffix not in PARAMETER_FILES:
        return _exported_description(path)
    tree = read_description(path)
    return None if tree is None else descriptions.read(tree, source=str(path))


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
    try:
        parameters = convert(file.parameters, layout=network.layout, channels=assembly.description.input_channels)
    except WeightsError as error:
        raise WeightsError(f"{what}: {error}") from None
    return assign(parameters, network.parameters(), what=what)


def detector(assembly: Assembly, machine: Machine, options: Options) -> Detector:
    """Detect with the parameters an assembly holds now; OpenVINO takes a copy, NNabla follows their changes."""
    return Detector(_session(assembly, machine, options), assembly, options)


def input_spec(description: Description, options: Options) -> InputSpec:
    """The one preprocessing, as a model file fixes it and the options change it."""
    return InputSpec(
        size=options.input_size or description.input_size,
        normalization=description.normalization,
        channels=description.input_channels,
        layout=description.layout,
        keep_resolution=options.keep_resolution,
    )


def outputs_of(assembly: Assembly, image: nn.Variable, *, k: int, with_maps: bool = False) -> dict[str, nn.Variable]:
    """The inference graph from a normalised image to decoded detections; `with_maps` adds the raw heads by name."""
    maps = assembly.network(image)[-1]
    height, width = image.shape[1:3] if assembly.network.layout == "nhwc" else image.shape[2:4]
    cells = (height // assembly.network.stride) * (width // assembly.network.stride)
    decoded = assembly.task.decode_graph(maps, k=min(k, cells), stride=assembly.network.stride, layout=assembly.network.layout)
    return {**decoded, **(maps if with_maps else {})}


def raw_outputs(assembly: Assembly, image: nn.Variable) -> dict[str, nn.Variable]:
    """The last stack's heads under their published names."""
    maps = assembly.network(image)[-1]
    return {assembly.task.heads[name].scope: variable for name, variable in maps.items()}


def as_onnx(assembly: Assembly, shape: tuple[int, ...], outputs: Callable[[nn.Variable], Mapping[str, nn.Variable]]) -> bytes:
    """The graph that `outputs` builds on an input of one shape, as an ONNX model."""
    image = nn.Variable(shape)
    with assembly.network.parameter_scope(), nn.auto_forward(False):
        model: bytes = to_onnx(outputs(image), {"image": image}).SerializeToString()
    return model


def _session(assembly: Assembly, machine: Machine, options: Options) -> Session:
    device = machine.device()
    runtime = machine.runtime if machine.runtime != "auto" else ("nnabla" if device.is_gpu else "openvino")
    precision = _precision(machine, runtime)

    def outputs(image: nn.Variable) -> dict[str, nn.Variable]:
        if precision == "bfloat16":  # it cannot hold the cells' numbers: decode outside
            return raw_outputs(assembly, image)
        return outputs_of(assembly, image, k=options.k, with_maps=options.with_maps)

    if runtime == "nnabla":
        return NnablaSession(outputs, context=device.context)
    if runtime == "onnxruntime":
        spec = input_spec(assembly.description, options)
        return OnnxRuntimeSession(as_onnx(assembly, (1, spec.channels, *spec.size), outputs), threads=machine.threads)
    return OpenVinoSession(lambda shape: as_onnx(assembly, shape, outputs), precision=precision, threads=machine.threads)


def _precision(machine: Machine, runtime: Runtime) -> Literal["float32", "bfloat16"]:
    """What the runtime computes in; ConfigError where it cannot do what was asked for."""
    if runtime == "openvino":
        return fastest_precision() if machine.precision == "auto" else machine.precision
    if machine.precision == "bfloat16":
        raise ConfigError(f"precision bfloat16: only the runtime openvino has it, found {runtime}")
    return "float32"


def _exported_session(path: Path, machine: Machine, *, layout: str) -> Session:
    """What runs an exported file.

    Raises:
        ConfigError: the runtime asked for does not read such files. DeviceError: it cannot compute in their layout here.
    """
    runtimes: tuple[Runtime, ...] = ("nnabla",) if path.suffix == ".nnp" else ("openvino", "onnxruntime")
    runtime = runtimes[0] if machine.runtime == "auto" else machine.runtime
    if runtime not in runtimes:
        raise ConfigError(f"{path}: runtime {runtime} does not read {path.suffix} files; expected {' or '.join(runtimes)}")
    if runtime == "nnabla":
        device = machine.device()
        if layout == "nhwc" and not device.is_gpu:
            raise DeviceError(f"{path}: was exported in NHWC, which NNabla computes on GPUs only; export it without --channel_last")
        return NnpSession(path, context=device.context)
    if runtime == "onnxruntime":
        return OnnxRuntimeSession(path, threads=machine.threads)
    # A file may decode inside, which bfloat16 is too coarse for, so that is only used when asked for.
    return OpenVinoSession(path, precision="bfloat16" if machine.precision == "bfloat16" else "float32", threads=machine.threads)


def _exported_description(path: Path) -> Description:
    if path.is_dir():
        raise WeightsError(f"{path}: is a folder, expected a model file; `test --checkpoint_dir` takes all of a folder's")
    if path.suffix not in (".nnp", ".onnx"):
        raise WeightsError(f"{path}: '{path.suffix}' is not a model file; expected .h5, .protobuf, .nnp or .onnx")
    if not path.is_file():
        raise WeightsError(f"{path}: no such model file")
    text = read_nnp_description(path) if path.suffix == ".nnp" else read_metadata(path).get(DESCRIPTION_KEY)
    if text is None:
        raise WeightsError(f"{path}: holds no description 'centernet', so it was not exported by this project")
    return descriptions.read(text, source=str(path))


def _check_exported(path: Path, own: Description, options: Options) -> None:
    if options.input_size is not None and options.input_size != own.input_size:
        size, asked = "x".join(map(str, own.input_size)), "x".join(map(str, options.input_size))
        raise ConfigError(f"{path}: was exported for input {size}, found --input_res {asked}; use the parameters (.h5), or export again")
    if options.keep_resolution:
        raise ConfigError(f"{path}: was exported for one input size, so --keep_res does not fit; use the parameters (.h5)")


def _with_settings(machine: Machine, options: Options, settings: Mapping[str, Any]) -> tuple[Machine, Options]:
    own = {key: value for key, value in settings.items() if key in Machine.__dataclass_fields__}
    rest = {key: value for key, value in settings.items() if key not in own}
    unknown = sorted(set(rest) - set(Options.__dataclass_fields__))
    if unknown:
        known = sorted([*Machine.__dataclass_fields__, *Options.__dataclass_fields__])
        raise ConfigError(f"load: unknown setting '{unknown[0]}'; known: {', '.join(known)}")
    checked_machine = configuration.validate(Machine, {**vars(machine), **own}, source="load") if own else machine
    return checked_machine, configuration.validate(Options, {**vars(options), **rest}, source="load") if rest else options
