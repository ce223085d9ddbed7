"""The network's input made where the network runs: colours, normalisation and layout of a batch of bytes."""

from __future__ import annotations

from collections.abc import Sequence

import nnabla as nn
import nnabla.functions as F

from centernet.models.precision import in_float
from centernet.models.specs import Layout


def network_input(image: nn.Variable, matrix: nn.Variable, *, layout: Layout, channels: int) -> nn.Variable:
    """Every pixel of a batch through its image's affine map; what `imaging.color.network_input` does on the host.

    Every pixel gets a 1, so that one matrix product for each image colours it and lays it out, in planes by taking the pixels
    transposed. It is computed in float32 whatever the network is computed in: a level of 255 times a rounded coefficient would
    be further off than the rounded product.

    Args:
        image: (B, H, W, 3), BGR levels in [0, 255]; to be fed with uint8.
        matrix: (B, 3, 4), BGR levels and a 1 to normalised BGR.
        layout: of the result.
        channels: 3, or 4: the fourth is zero.

    Returns:
        (B, channels, H, W) for "nchw", (B, H, W, channels) for "nhwc"; normalised BGR.
    """
    batch, height, width, _ = image.shape
    with nn.context_scope(in_float(nn.get_current_context())):
        pixels = F.reshape(F.pad(image, (0, 1), constant_value=1.0), (batch, height * width, 4))
        rows = F.pad(matrix, (0, channels - 3, 0, 0)) if channels > 3 else matrix
        if layout == "nhwc":
            return F.reshape(F.batch_matmul(pixels, rows, transpose_b=True), (batch, height, width, channels))
        return F.reshape(F.batch_matmul(rows, pixels, transpose_b=True), (batch, channels, height, width))


def normalized(pixels: nn.Variable, mean: Sequence[float], std: Sequence[float], *, layout: Layout, channels: int) -> nn.Variable:
    """The same normalisation for every image; what `imaging.color.normalize` does on the host.

    Not `network_input` with a constant matrix: runtimes that compute convolutions and matrix products in bfloat16 would
    round the levels' coefficients, where sums and products of single elements stay exact enough; and the batch stays open.
    First the sum: OpenVINO folds the factors that follow it into the weights of the first convolution.

    Args:
        pixels: (B, H, W, 3), BGR levels in [0, 255]; to be fed with uint8.
        mean, std: of BGR pixels in [0, 1].
        layout: of the result.
        channels: 3, or 4: the fourth is zero.

    Returns:
        (B, channels, H, W) for "nchw", (B, H, W, channels) for "nhwc"; normalised BGR.
    """
    axis = 3 if layout == "nhwc" else 1
    with nn.context_scope(in_float(nn.get_current_context())):
        image = pixels if layout == "nhwc" else F.transpose(pixels, (0, 3, 1, 2))
        image = image + _of_channels([-255 * value for value in mean], axis)
        image = image * _of_channels([1 / (255 * value) for value in std], axis)
        return F.pad(image, (0, channels - 3) + (0, 0) * (3 - axis)) if channels > 3 else image


def _of_channels(values: Sequence[float], axis: int) -> nn.Variable:
    """A number for each channel, as constants: an .nnp keeps no values of variables that are no parameters."""
    return F.concatenate(*(F.constant(value, (1, 1, 1, 1)) for value in values), axis=axis)
