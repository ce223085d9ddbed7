"""The graph that answers: from pixels to raw heads or decoded detections, and what runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import nnabla as nn
import nnabla.functions as F
from pydantic import Field

from centernet.engine.context import Device, Extension, resolve
from centernet.errors import ConfigError
from centernet.experiment.assembly import Assembly
from centernet.experiment.schema import Positive
from centernet.export.onnx import Deform, to_onnx
from centernet.inference.openvino_session import OpenVinoSession, Performance, Precision, fastest_precision
from centernet.inference.session import PIXELS, NnablaSession, OnnxRuntimeSession, Session, SessionForEachSize
from centernet.models.color import normalized
from centernet.models.specs import Layout
from centernet.structures import Grid

Runtime = Literal["auto", "openvino", "nnabla", "onnxruntime"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a detector runs on.

    runtime: auto is OpenVINO on a CPU and NNabla on a GPU. precision: auto is bfloat16 on a CPU with AMX, else float32.
    extension, gpu: as `engine.context.resolve` takes them.
    threads: of OpenVINO or ONNX Runtime; None: all cores.
    performance: latency: the next image begins when the last is done, on all cores; throughput: several at a time, where the
        runtime can, more images a second where there are many to do. Only OpenVINO can.
    """

    runtime: Runtime = "auto"
    precision: PrecisionChoice = "auto"
    extension: Extension = "auto"
    gpu: Annotated[int, Field(ge=0)] | None = 0
    threads: Positive | None = None
    performance: Performance = "latency"

    def device(self) -> Device:
        """NNabla's; DeviceError where what was asked for is not there."""
        return resolve(self.extension, gpu=self.gpu)


def from_pixels(assembly: Assembly, pixels: nn.Variable) -> nn.Variable:
    """The network's input in the graph, normalised and laid out, from warped pixels (B, H, W, 3): BGR levels, fed as uint8."""
    own, network = assembly.description, assembly.network
    return normalized(pixels, own.mean, own.std, layout=network.layout, channels=network.input_channels)


def with_mirror_images(image: nn.Variable, *, layout: Layout) -> nn.Variable:
    """A batch of normalised images followed by their mirror images."""
    return F.concatenate(image, image[:, :, ::-1] if layout == "nhwc" else image[:, :, :, ::-1], axis=0)


def outputs_of(assembly: Assembly, image: nn.Variable, *, k: int, with_maps: bool = False, flipped: bool = False) -> dict[str, nn.Variable]:
    """The inference graph from a normalised image to decoded detections.

    Args:
        with_maps: add the raw heads by name.
        flipped: the batch are images and their mirror images; detections are of the former, raw heads of both.
    """
    network = assembly.network
    maps = network(image)[-1]
    height, width = image.shape[1:3] if network.layout == "nhwc" else image.shape[2:4]
    grid = Grid(height, width, network.stride)
    decoded = assembly.task.decode_graph(maps, k=min(k, grid.num_cells), grid=grid, layout=network.layout, flipped=flipped)
    return {**decoded, **(maps if with_maps else {})}


def raw_outputs(assembly: Assembly, image: nn.Variable) -> dict[str, nn.Variable]:
    """The last stack's heads under their published names."""
    maps = assembly.network(image)[-1]
    return {assembly.task.heads[name].scope: variable for name, variable in maps.items()}


def as_onnx(
    assembly: Assembly,
    shape: tuple[int, ...],
    outputs: Callable[[nn.Variable], Mapping[str, nn.Variable]],
    *,
    deform: Deform = "gridsample",
) -> bytes:
    """The graph that `outputs` builds on pixels of one shape, (B, H, W, 3) uint8, as an ONNX model; `deform` as in `to_onnx`."""
    pixels = nn.Variable(shape)
    with assembly.network.parameter_scope(), nn.auto_forward(False):
        model: bytes = to_onnx(outputs(pixels), {PIXELS: pixels}, uint8_inputs={PIXELS}, deform=deform).SerializeToString()
    return model


def session(
    assembly: Assembly, machine: Machine, *, k: int, size: tuple[int, int], with_maps: bool = False, flip_test: bool = False
) -> Session:
    """What runs the network with the parameters it holds now: OpenVINO and ONNX Runtime take a copy, NNabla follows their changes.

    It takes pixels, (B, H, W, 3) uint8 BGR.

    Args:
        k: detections per image. size: (height, width) of the input, where the runtime has to know it beforehand.
        with_maps: also give the raw heads out.
        flip_test: look at the mirror images too; raw heads then are those of the images followed by the mirror images'.
    """
    device = machine.device()
    runtime = machine.runtime if machine.runtime != "auto" else ("nnabla" if device.is_gpu else "openvino")
    precision = precision_of(machine, runtime)

    def outputs(pixels: nn.Variable) -> dict[str, nn.Variable]:
        image = from_pixels(assembly, pixels)
        if flip_test:
            image = with_mirror_images(image, layout=assembly.network.layout)
        return outputs_of(assembly, image, k=k, with_maps=with_maps, flipped=flip_test)

    if runtime == "nnabla":
        return NnablaSession(outputs, context=device.context)
    if runtime == "onnxruntime":
        return SessionForEachSize(
            lambda shape: OnnxRuntimeSession(as_onnx(assembly, shape, outputs), threads=machine.threads), (1, *size, 3)
        )
    return OpenVinoSession(
        lambda shape: as_onnx(assembly, shape, outputs, deform="operator"),
        precision=precision,
        threads=machine.threads,
        performance=machine.performance,
    )


def precision_of(machine: Machine, runtime: Runtime) -> Precision:
    """What the runtime computes in; ConfigError where it cannot do what was asked for."""
    if runtime == "openvino":
        return fastest_precision() if machine.precision == "auto" else machine.precision
    if machine.precision == "bfloat16":
        raise ConfigError(f"precision bfloat16: only the runtime openvino has it, found {runtime}")
    return "float32"
