"""What a network costs: parameters, and multiply-adds counted from its graph."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nnabla as nn
import nnabla.functions as F

from centernet import plugins
from centernet.models.architectures import Architecture
from centernet.models.network import BACKBONES, HEADS, NECKS, Network
from centernet.models.specs import HeadSpec

SIDE = 512  # of the image, pixels


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a network with its task's heads for COCO.

    parameters: numbers that are trained. multiply_adds: of one 512x512 image; of several stacks all. stride: input pixels per
    cell of the heads. input_sizes: what heights and widths are.
    """

    parameters: int
    multiply_adds: int
    stride: int
    input_sizes: str


def cost_of(architecture: Architecture, heads: Mapping[str, HeadSpec]) -> Cost:
    """Build the network with these heads, without values, and count."""
    network = network_of(architecture, heads)
    shapes, trainable = network.parameter_shapes(), network.trainable
    image = nn.Variable(network.input_shape(1, SIDE, SIDE))
    return Cost(
        parameters=sum(math.prod(shape) for name, shape in shapes.items() if trainable[name]),
        multiply_adds=multiply_adds([output for outputs in network(image) for output in outputs.values()]),
        stride=network.stride,
        input_sizes=str(network.input_sizes),
    )


def network_of(architecture: Architecture, heads: Mapping[str, HeadSpec], *, seed: int | None = None) -> Network:
    """The network, in a scope of its own."""
    sections = architecture.sections
    packages = {"backbone": BACKBONES, "neck": NECKS, "head": HEADS}
    parts = {part: _config(package, sections[part]) for part, package in packages.items()}
    return Network(**parts, heads=heads, scope=OrderedDict(), seed=seed)


def multiply_adds(outputs: list[nn.Variable]) -> int:
    """Of all convolutions and matrix products that lead to the variables, in NCHW.

    A deformable convolution counts as a plain one, besides that of its offsets; what is not a product of weights is left out:
    batch norm, activations, sums, pooling, bilinear samples.
    """
    total = 0

    def count(function: Any) -> None:
        nonlocal total
        kind = function.info.type_name
        if kind in ("Convolution", "DeformableConvolution"):
            total += function.outputs[0].size * math.prod(function.inputs[1].shape[1:])
        elif kind == "Deconvolution":
            total += function.inputs[0].size * math.prod(function.inputs[1].shape[1:])
        elif kind == "Affine":
            total += function.inputs[0].size * function.inputs[1].shape[-1]

    F.sink(*outputs).visit(count)
    return total


def _config(package: str, section: dict[str, Any]) -> Any:
    options = dict(section)
    return plugins.load(package, options.pop("name")).Config(**options)
