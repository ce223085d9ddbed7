"""Parameters from one layout to another: NCHW and NHWC, three and four input channels; pure NumPy, exact both ways.

Kernels are (out, in, kh, kw) in NCHW and (out, kh, kw, in) in NHWC, batch norm's parameters (1, C, 1, 1) and
(1, 1, 1, C): every four-dimensional array turns alike, everything else stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from centernet.errors import WeightsError
from centernet.weights.store import Array

Layout = Literal["nchw", "nhwc"]
Channels = Literal[3, 4]

# The one kernel that sees the image, by family: ResNets and DLAv0, MobileNets, DLA, hourglasses.
INPUT_KERNELS = ("conv1/conv/W", "features/0/0/conv/W", "base/base_layer/0/conv/W", "pre/0/conv/conv/W")
BATCH_NORM = ("bn/beta", "bn/gamma", "bn/mean", "bn/var")


def detect_layout(shapes: Mapping[str, tuple[int, ...]]) -> Layout | None:
    """Which layout parameters of these shapes are in; None where nothing tells.

    Batch norm tells by the place of its channels; without any, a kernel by the place of its two equal sides.
    """
    for name, shape in shapes.items():
        if name.endswith(BATCH_NORM) and len(shape) == 4 and max(shape) > 1:
            return "nchw" if shape[1] > 1 else "nhwc"
    for shape in shapes.values():
        if len(shape) == 4 and (shape[2] == shape[3]) != (shape[1] == shape[2]):
            return "nchw" if shape[2] == shape[3] else "nhwc"
    return None


def shapes_of(parameters: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    """Name -> shape."""
    return {name: tuple(values.shape) for name, values in parameters.items()}


def input_kernel(names: Iterable[str]) -> str | None:
    """Which of a network's parameters is the kernel that sees the image; None where there is none that is known."""
    found = set(names)
    return next((name for name in INPUT_KERNELS if name in found), None)


def input_channels(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """How many channels the first convolution expects; None where there is none or the layout is unknown."""
    layout = detect_layout(shapes)
    name = input_kernel(shapes)
    if layout is None or name is None or len(shapes[name]) != 4:
        return None
    return shapes[name][_input_axis(layout)]


def to_nhwc(parameters: Mapping[str, Array]) -> dict[str, Array]:
    """From NCHW; the parameters must be in it."""
    return _turned(parameters, (0, 2, 3, 1))


def to_nchw(parameters: Mapping[str, Array]) -> dict[str, Array]:
    """From NHWC; the parameters must be in it."""
    return _turned(parameters, (0, 3, 1, 2))


def pad_input_channels(parameters: Mapping[str, Array], layout: Layout) -> dict[str, Array]:
    """A fourth input channel of zero weights; parameters that have it already are returned as they are.

    Raises:
        WeightsError: there is no first convolution, or it has neither three nor four input channels.
    """
    name, axis = _input_kernel(parameters, layout)
    kernel = parameters[name]
    if kernel.shape[axis] == 4:
        return dict(parameters)
    padding = [(0, 0)] * 4
    padding[axis] = (0, 1)
    return {**parameters, name: np.pad(kernel, padding)}


def drop_input_channel(parameters: Mapping[str, Array], layout: Layout) -> dict[str, Array]:
    """Only the first three input channels: the fourth saw nothing but zeros.

    Raises:
        WeightsError: as `pad_input_channels`.
    """
    name, axis = _input_kernel(parameters, layout)
    kernel = parameters[name]
    if kernel.shape[axis] == 3:
        return dict(parameters)
    return {**parameters, name: np.ascontiguousarray(kernel.take(range(3), axis))}


def affine_to_convolution(parameters: Mapping[str, Array], layout: Layout) -> dict[str, Array]:
    """A classifier stored as an affine layer, (in, out), as the 1x1 convolution `fc/fc/conv` it is equal to.

    Raises:
        WeightsError: there is not exactly one affine layer.
    """
    weights = [name for name in parameters if name.split("/")[-2:] == ["affine", "W"]]
    if len(weights) != 1:
        raise WeightsError(f"expected one affine layer to turn into a convolution, found {len(weights)}: {', '.join(weights)}")
    scope = weights[0].removesuffix("W")
    names = {f"{scope}W": "fc/fc/conv/W", f"{scope}b": "fc/fc/conv/b"}
    kernel = parameters[weights[0]].T[:, :, None, None]
    if layout == "nhwc":
        kernel = kernel.transpose(0, 2, 3, 1)
    turned = {**parameters, weights[0]: np.ascontiguousarray(kernel)}
    return {names.get(name, name): values for name, values in turned.items()}


def convert(parameters: Mapping[str, Array], *, layout: Layout | None = None, channels: Channels | None = None) -> dict[str, Array]:
    """The same network in another layout, with another number of input channels, or both; None keeps what is there.

    Raises:
        WeightsError: the present layout cannot be told from the shapes, or the first convolution is not there.
    """
    present = detect_layout(shapes_of(parameters))
    if present is None:
        raise WeightsError("cannot tell whether the parameters are NCHW or NHWC: no batch norm and no square kernel among them")
    converted = dict(parameters)
    if layout is not None and layout != present:
        converted = to_nhwc(converted) if layout == "nhwc" else to_nchw(converted)
    if channels is not None:
        change = pad_input_channels if channels == 4 else drop_input_channel
        converted = change(converted, layout or present)
    return converted


def _turned(parameters: Mapping[str, Array], axes: tuple[int, int, int, int]) -> dict[str, Array]:
    return {name: np.ascontiguousarray(values.transpose(axes)) if values.ndim == 4 else values for name, values in parameters.items()}


def _input_axis(layout: Layout) -> int:
    return 1 if layout == "nchw" else 3


def _input_kernel(parameters: Mapping[str, Array], layout: Layout) -> tuple[str, int]:
    """Its name and the axis of its input channels; in a network of another family the only kernel that can be the one."""
    name, axis = input_kernel(parameters), _input_axis(layout)
    if name is None:
        fitting = [name for name, values in parameters.items() if name.endswith("/W") and values.ndim == 4 and values.shape[axis] in (3, 4)]
        if len(fitting) != 1:
            several = f", and {len(fitting)} have 3 or 4 input channels: {', '.join(fitting)}" if fitting else ""
            raise WeightsError(f"the first convolution, one of {', '.join(map(repr, INPUT_KERNELS))}, is not there{several}")
        (name,) = fitting
    shape = parameters[name].shape
    if len(shape) != 4 or shape[axis] not in (3, 4):
        raise WeightsError(f"'{name}': expected a kernel of 3 or 4 input channels ({layout}), found shape {shape}")
    return name, axis
