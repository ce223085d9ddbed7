"""Write a network as a file that other programs run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nnabla as nn

from centernet.errors import ConfigError
from centernet.experiment.assembly import Assembly
from centernet.experiment.detector import num_places
from centernet.experiment.inference_graph import from_pixels, outputs_of, raw_outputs
from centernet.experiment.model_files import DESCRIPTION_KEY, PROTOCOL_KEY
from centernet.export import quantization
from centernet.export.nnp import save_nnp
from centernet.export.onnx import (
    Deform,
    in_float16,
    network_nodes,
    save_onnx,
    to_onnx,
    with_bfloat16_weights,
    with_metadata,
    with_open_size,
)
from centernet.export.openvino_ir import save_openvino
from centernet.inference.openvino_session import openvino_core
from centernet.inference.session import PIXELS
from centernet.structures import Array

Format = Literal["nnp", "onnx", "openvino"]
FilePrecision = Literal["float32", "float16", "bfloat16", "int8"]
SUFFIXES: dict[Format, str] = {"nnp": ".nnp", "onnx": ".onnx", "openvino": ".xml"}
NORMALIZED = {"nnp": "x", "onnx": "image", "openvino": "image"}  # the predecessor's name of an .nnp's input; the others have none

BIAS_APART = "/WithoutBiases"  # how OpenVINO's reader calls a convolution whose bias it adds in a node of its own


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to write.

    format: nnp, onnx, or openvino (.xml and .bin).
    decode: from pixels, (B, H, W, 3) uint8 BGR named `image`, to boxes, scores and class ids: everything inside. Without it
        from a normalised image to the raw heads, which carry the published names (`hm`, `reg`, `wh`).
    k: detections per image, where decoded.
    dynamic: height and width stay open, beside the batch, which always is.
    precision: float16: the network computes in it, first and last steps in float32. bfloat16: weights are kept in it. int8:
        convolutions compute in eight bits.
    deform: how deformable convolutions are written, as `export.onnx.to_onnx` says; None: as the format's runtime is quickest,
        "operator" for openvino, whose own operation that becomes, and "gridsample" for onnx, since ONNX Runtime has no other.
    """

    format: Format
    decode: bool = False
    k: int = 100
    dynamic: bool = False
    precision: FilePrecision = "float32"
    deform: Deform | None = None

    def __post_init__(self) -> None:
        if self.format == "nnp" and self.deform is not None:
            raise ConfigError(f"--deform {self.deform}: an .nnp holds NNabla's own deformable convolution; use --format onnx or openvino")
        if self.format == "nnp" and self.dynamic:
            raise ConfigError("--dynamic: an .nnp holds one input size (its batch is open); use --format onnx or openvino")
        if self.format == "nnp" and self.precision != "float32":
            raise ConfigError(
                f"--precision {self.precision}: an .nnp holds float32 parameters; use --format onnx or openvino "
                "(NNabla's runtimes compute in half precision if their context says so)"
            )


def export(
    assembly: Assembly,
    path: Path,
    *,
    format: Format,
    decode: bool = False,
    k: int = 100,
    dynamic: bool = False,
    precision: FilePrecision = "float32",
    deform: Deform | None = None,
    calibration: Sequence[Array] = (),
) -> Path:
    """Write the inference graph with the parameters the assembly holds now, and its description.

    Args:
        format, decode, k, dynamic, precision, deform: as `ExportOptions`; no more than there are cells of the heatmap are decoded.
        calibration: for int8, what the input is fed with to learn ranges: pixels where decoded, else normalised images, each with
            a batch axis.

    Returns:
        The path.

    Raises:
        ConfigError: the format has no such option, or nothing to calibrate with. DeviceError: what int8 needs is not installed.
        ExportError, OutputError: the graph or the file cannot be written.
    """
    most = num_places(assembly, (assembly.grid.height, assembly.grid.width))
    options = ExportOptions(format=format, decode=decode, k=min(k, most), dynamic=dynamic, precision=precision, deform=deform)
    if precision == "int8" and not len(calibration):
        raise ConfigError("precision int8: needs images to calibrate with, found none")
    texts = metadata(assembly, options)
    if format == "nnp":
        _save_nnp(assembly, path, options, texts)
        return path
    model = _in_precision(onnx_model(assembly, options), options, calibration)
    if format == "onnx":
        save_onnx(path, with_metadata(model, texts))
        return path
    save_openvino(path, model if precision == "int8" else _read(model), metadata=texts)
    return path


def metadata(assembly: Assembly, options: ExportOptions) -> dict[str, str]:
    """What an exported file says of itself, as JSON texts by name.

    `centernet` is the whole description, and `protocol` how the file is to be used; what a program without this package needs
    of the former stands beside them: class names, stride, mean and std (of BGR pixels / 255).
    """
    own, suppression = assembly.description, assembly.task.suppression
    protocol: dict[str, Any] = {
        "input": "pixels, uint8 (batch, height, width, 3), BGR" if options.decode else f"normalised BGR, float32, {own.layout.upper()}",
        "input_size": list(own.input_size),
        "size_is_open": options.dynamic,
        "resize": "warpAffine, bilinear, the image's centre on the input's, its longer side on the input's width, the rest black",
        "outputs": "boxes xyxy in input pixels, scores, class_ids" if options.decode else "heads of the last stack",
        "k": options.k if options.decode else None,
        "scales": [1.0],
        "flip": False,
        "nms": "3x3 maxima"
        if suppression is None
        else f"3x3 maxima in the file; then, by who reads it, {suppression} among those of a class",
        "precision": options.precision,
    }
    return {
        DESCRIPTION_KEY: own.to_json(),
        PROTOCOL_KEY: json.dumps(protocol),
        "class_names": json.dumps(list(own.class_names), ensure_ascii=False),
        "stride": str(own.stride),
        "mean": json.dumps(list(own.mean)),
        "std": json.dumps(list(own.std)),
    }


def onnx_model(assembly: Assembly, options: ExportOptions) -> Any:
    """The graph in float32 as an `onnx.ModelProto`."""
    network, grid = assembly.network, assembly.grid
    name = PIXELS if options.decode else NORMALIZED[options.format]
    axes = (1, 2) if options.decode or network.layout == "nhwc" else (2, 3)

    def write(size: tuple[int, int]) -> Any:
        with network.parameter_scope(), nn.auto_forward(False):
            source, outputs = _graph(assembly, options, size)
            deform: Deform = options.deform or ("operator" if options.format == "openvino" else "gridsample")
            is_pixels = {name} if options.decode else ()
            return to_onnx(outputs, {name: source}, dynamic_batch=True, uint8_inputs=is_pixels, deform=deform)

    if not options.dynamic:
        return write((grid.height, grid.width))
    return with_open_size(write, input_name=name, axes=axes, unit=network.input_multiple, base=(grid.height, grid.width))


def _graph(assembly: Assembly, options: ExportOptions, size: tuple[int, int]) -> tuple[nn.Variable, dict[str, nn.Variable]]:
    source = nn.Variable((1, *size, 3) if options.decode else assembly.network.input_shape(1, *size))
    if options.decode:
        return source, outputs_of(assembly, from_pixels(assembly, source), k=options.k)
    return source, raw_outputs(assembly, source)


def _save_nnp(assembly: Assembly, path: Path, options: ExportOptions, texts: dict[str, str]) -> None:
    with assembly.network.parameter_scope(), nn.auto_forward(False):
        source, outputs = _graph(assembly, options, (assembly.grid.height, assembly.grid.width))
        inputs = {PIXELS if options.decode else NORMALIZED["nnp"]: source}
        save_nnp(path, outputs, inputs, description=texts[DESCRIPTION_KEY], protocol=texts[PROTOCOL_KEY])


def _in_precision(model: Any, options: ExportOptions, calibration: Sequence[Array]) -> Any:
    """The ONNX model in the precision asked for; for int8 in OpenVINO's format an `openvino.Model`."""
    if options.precision == "float16":
        return in_float16(model)
    if options.precision == "bfloat16":
        return with_bfloat16_weights(model)
    if options.precision == "float32":
        return model
    quantization.check_installed(for_onnx=options.format == "onnx")
    inside = set(network_nodes(model))
    if options.format == "onnx":
        if any(node.op_type == "DeformConv" for node in model.graph.node):
            raise ConfigError(
                "--precision int8 with --deform operator: ONNX Runtime, which calibrates an .onnx, has no DeformConv; "
                "use --deform gridsample, or --format openvino"
            )
        ignored, name = [node.name for node in model.graph.node if node.name not in inside], model.graph.input[0].name
        return quantization.quantized(model, calibration, ignored=ignored, input_name=name, core=openvino_core())
    read = _read(model)
    names = [node.get_friendly_name() for node in read.get_ops()]
    ignored = [name for name in names if name.removesuffix(BIAS_APART) not in inside]
    return quantization.quantized(read, calibration, ignored=ignored, input_name=None, core=openvino_core())


def _read(model: Any) -> Any:
    return openvino_core().read_model(model.SerializeToString())
