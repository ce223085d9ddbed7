"""The networks of the GPU programs: ResNet-18 and DLAv0-34 CenterNet, whole or tiny, on any device, in any type and layout."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import nnabla as nn
import numpy as np
import numpy.typing as npt

from centernet import plugins
from centernet.engine.context import resolve
from centernet.engine.graph import BuildLosses, LossGraph
from centernet.models.heads import conv
from centernet.models.network import BACKBONES, NECKS, Network
from centernet.models.precision import in_float
from centernet.models.specs import Layout
from centernet.structures import ClassTable
from centernet.tasks import ctdet
from centernet.tasks.base import Task
from centernet.weights import layout as layouts
from gpu_parts import DeviceName, Settings

Arrays = dict[str, npt.NDArray[Any]]
NETWORKS = ("resnet_18", "dlav0_34")
NECK = {"resnet": ("deconv", 64), "dlav0": ("dlav0_up", 256)}  # and hidden channels of the heads
FIRST_SCALE = 1024.0  # of the loss in half precision
MAX_OBJECTS = 128
SIDE, BATCH, STEPS = 512, 32, 20  # of measurements of speed


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a network computes."""

    device: DeviceName
    compute: Literal["float", "half"] = "float"
    layout: Layout = "nchw"
    channels: Literal[3, 4] = 3

    def context(self) -> nn.Context:
        return resolve(self.device, type_config=self.compute).context


@dataclass(frozen=True, kw_only=True)
class Passed:
    """What one forward and backward gave, in NCHW, float32, three input channels."""

    outputs: Arrays
    losses: dict[str, float]
    gradients: Arrays


def make(name: str, *, num_classes: int, kind: Kind, tiny: bool = False) -> tuple[Task, Network]:
    """A network of its own parameters; tiny: an eighth of the width."""
    family, depth = name.split("_")
    neck, hidden = NECK[family]
    narrow = {"width": 0.125} if tiny else {}
    channels = {"channels": (16, 16, 16)} if tiny and neck == "deconv" else {}
    classes = ClassTable(tuple(f"class{i}" for i in range(num_classes)))
    task = ctdet.build(ctdet.Config(), classes, layout=kind.layout)
    network = Network(
        plugins.load(BACKBONES, family).Config(num_layers=int(depth), **narrow),
        plugins.load(NECKS, neck).Config(**channels),
        conv.Config(hidden_channels=16 if tiny else hidden),
        task.heads,
        layout=kind.layout,
        input_channels=kind.channels,
        scope=OrderedDict(),
    )
    return task, network


def drawn(network: Network, *, seed: int = 0) -> Arrays:
    """Values that keep signals at about 1 from end to end, in the layout of the network."""
    rng = np.random.default_rng(seed)
    values: Arrays = {}
    for name, shape in network.parameter_shapes().items():
        if len(shape) == 4 and name.endswith("W"):
            fan = 4 * shape[0] if "deconv/" in name and shape[1] > 1 else 4 if "deconv/" in name else math.prod(shape[1:])
            values[name] = (rng.normal(size=shape) * np.sqrt(2 / fan)).astype(np.float32)
        else:
            values[name] = np.full(shape, 1.0 if name.endswith(("gamma", "var")) else 0.0, np.float32)
    return values


def batch_of(*, size: int, side: int, num_classes: int, stride: int = 4, seed: int = 1) -> Arrays:
    """Noise as images (NCHW) and targets of as many objects as pictures of COCO have."""
    rng = np.random.default_rng(seed)
    cells, objects = side // stride, 8
    indices = np.zeros((size, MAX_OBJECTS), np.int32)
    indices[:, :objects] = rng.integers(0, cells * cells, (size, objects))
    mask = np.zeros((size, MAX_OBJECTS), np.float32)
    mask[:, :objects] = 1
    heatmap = (rng.random((size, num_classes, cells, cells)) ** 8 * 0.9).astype(np.float32)
    for image in range(size):
        for cell in indices[image, :objects]:
            heatmap[image, rng.integers(num_classes), cell // cells, cell % cells] = 1
    return {
        "image": rng.normal(size=(size, 3, side, side)).astype(np.float32),
        "heatmap": heatmap,
        "indices": indices,
        "size": (rng.random((size, MAX_OBJECTS, 2)) * 10).astype(np.float32),
        "offset": rng.random((size, MAX_OBJECTS, 2)).astype(np.float32),
        "mask": mask,
        "num_peaks": (heatmap >= 1).sum(axis=(1, 2, 3)).astype(np.float32),
        "num_objects": mask.sum(axis=1),
    }


def laid_out(image: npt.NDArray[Any], kind: Kind) -> npt.NDArray[Any]:
    """NCHW images as a network of this kind takes them."""
    padded = np.pad(image, ((0, 0), (0, kind.channels - 3), (0, 0), (0, 0)))
    return np.ascontiguousarray(padded.transpose(0, 2, 3, 1)) if kind.layout == "nhwc" else padded


def passed(
    name: str, kind: Kind, values: Arrays, batch: Arrays, *, num_classes: int, tiny: bool = False, batch_stat: bool = False
) -> Passed:
    """One forward and backward through network and losses.

    Args:
        values: parameters in NCHW for three channels, by name.
        batch_stat: with the batch's own statistics, by which a new network turns the smallest difference of its inputs into
            one of several per cent of its gradients.
    """
    with nn.context_scope(kind.context()):
        task, network = make(name, num_classes=num_classes, kind=kind, tiny=tiny)
        parameters = network.parameters()
        for key, array in layouts.convert(values, layout=kind.layout, channels=kind.channels).items():
            parameters[key].d = array
        arrays = {**batch, "image": laid_out(batch["image"], kind)}
        graph, maps = loss_graph(task, network, arrays, batch_stat=batch_stat)
        scale = FIRST_SCALE if kind.compute == "half" else 1.0
        trained = {key: parameter for key, parameter in parameters.items() if parameter.need_grad}
        while True:  # as the dynamic loss scale does it
            for parameter in trained.values():
                parameter.grad.zero()
            nn.forward_all([graph.losses, graph.total])
            graph.total.backward(scale)
            gradients = {key: parameter.g.astype(np.float32) / scale for key, parameter in trained.items()}
            if scale <= 1 or all(np.isfinite(array).all() for array in gradients.values()):
                break
            scale /= 4
        outputs = {key: map_.d.astype(np.float32) for key, map_ in maps.items()}
        losses = dict(zip(graph.names, graph.losses.d.tolist(), strict=True))
    if kind.layout == "nhwc":
        outputs = {key: array.transpose(0, 3, 1, 2) for key, array in outputs.items()}
    return Passed(outputs=outputs, losses=losses, gradients=layouts.convert(gradients, layout="nchw", channels=3))


def losses_of(task: Task, network: Network, *, batch_stat: bool = True, kept: dict[str, nn.Variable] | None = None) -> BuildLosses:
    """What builds the losses from the inputs, in float32; `kept` gets the raw maps."""

    def losses(inputs: dict[str, nn.Variable]) -> dict[str, nn.Variable]:
        maps = network(inputs["image"], training=True, batch_stat=batch_stat)
        if kept is not None:
            kept.update(maps[-1])
        with nn.context_scope(in_float(nn.get_current_context())):
            return dict(task.losses(maps, inputs))

    return losses


def loss_graph(task: Task, network: Network, arrays: Mapping[str, Any], *, batch_stat: bool) -> tuple[LossGraph, dict[str, nn.Variable]]:
    """The graph of the losses for arrays of these shapes, fed, and the raw maps in it, which are kept."""
    kept: dict[str, nn.Variable] = {}
    shapes = tuple((key, () if key in task.counts else array.shape) for key, array in sorted(arrays.items()))
    graph = LossGraph(shapes, losses_of(task, network, batch_stat=batch_stat, kept=kept), task.loss_weights)
    for variable in kept.values():
        variable.persistent = True
    graph.feed(arrays, {key: float(arrays[key].sum()) for key in task.counts})
    return graph, kept


def difference(found: Mapping[str, npt.NDArray[Any]], expected: Mapping[str, npt.NDArray[Any]]) -> float:
    """Of all arrays together: the length of the difference over that of what is expected; inf where something is not finite."""
    total = sum(float(np.square(found[key] - expected[key], dtype=np.float64).sum()) for key in expected)
    length = sum(float(np.square(expected[key], dtype=np.float64).sum()) for key in expected)
    return math.sqrt(total / length) if math.isfinite(total) else math.inf


def sizes(settings: Settings) -> tuple[int, int, int]:
    """(side, batch, steps) of a measurement of speed."""
    return (32, 2, 1) if settings.quick else (SIDE, BATCH, STEPS)
