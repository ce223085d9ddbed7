"""The network's input made where the network runs: colours, normalisation and layout of a batch of bytes."""

from __future__ import annotations

import nnabla as nn
import nnabla.functions as F

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
    with nn.context_scope(_in_float(nn.get_current_context())):
        pixels = F.reshape(F.pad(image, (0, 1), constant_value=1.0), (batch, height * width, 4))
        rows = F.pad(matrix, (0, channels - 3, 0, 0)) if channels > 3 else matrix
        if layout == "nhwc":
            return F.reshape(F.batch_matmul(pixels, rows, transpose_b=True), (batch, height, width, channels))
        return F.reshape(F.batch_matmul(rows, pixels, transpose_b=True), (batch, channels, height, width))


def _in_float(context: nn.Context) -> nn.Context:
    backends = dict.fromkeys(backend.partition(":")[0] + ":float" for backend in context.backend)
    return nn.Context(list(backends), context.array_class, context.device_id)
