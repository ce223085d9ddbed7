"""Teach OpenVINO to read ONNX's DeformConv as its own deformable convolution."""

from __future__ import annotations

from typing import Any


def deformable_extension() -> Any:
    """What makes a core read models with DeformConv; to be given to its `add_extension`."""
    from openvino.frontend.onnx import ConversionExtension

    return ConversionExtension("DeformConv", _converted)


def _converted(node: Any) -> Any:
    """The outputs of OpenVINO's operator for a node of ONNX's; samples between the map's edge and one cell further fade out."""
    import numpy as np
    from openvino import opset8

    x, weight, offset, bias, mask = (_input(node, index) for index in range(5))
    pads = node.get_attribute("pads", [0, 0, 0, 0])
    y = opset8.deformable_convolution(
        x,
        offset,
        weight,
        node.get_attribute("strides", [1, 1]),
        pads[:2],
        pads[2:],
        node.get_attribute("dilations", [1, 1]),
        mask,
        group=node.get_attribute("group", 1),
        deformable_group=node.get_attribute("offset_group", 1),
        bilinear_interpolation_pad=True,
    )
    if bias is not None:
        y = opset8.add(y, opset8.reshape(bias, np.array([1, -1, 1, 1]), special_zero=False))
    return y.outputs()


def _input(node: Any, index: int) -> Any | None:
    """One of the node's inputs, None where it is left out."""
    if index >= node.get_input_size():
        return None
    found = node.get_input(index)
    return None if found.get_node().get_type_name() == "NullNode" else found
