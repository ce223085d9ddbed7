"""Deformable convolution: a convolution that looks where another one tells it to, on NNabla's own function."""

from __future__ import annotations

import nnabla as nn
import nnabla.functions as F

from centernet.models.initial import Initial, constant
from centernet.models.ops import Ops

KERNEL = 3
TAPS = KERNEL * KERNEL


def deformable_convolution(x: nn.Variable, ops: Ops, channels: int, *, initial: Initial) -> nn.Variable:
    """Modulated deformable 3x3 convolution with bias (Zhu et al. 2018, Deformable ConvNets v2, arXiv:1811.11168, equation 1).

    Scope `conv` has its weight and bias, scope `conv_offset_mask` the convolution that gives 27 channels: twice nine offsets
    in cells, (dy, dx) of each tap, and nine logits of the taps' weights. That one starts at zero: a plain convolution with
    all taps at a half. Samples outside the map are zero.

    Args:
        x: feature map, in the layout of `ops`; the result has its height and width.
        channels: of the result.
        initial: of the weight.
    """
    with ops.scope("conv"):
        weight = ops.parameter("W", (channels, ops.channels(x), KERNEL, KERNEL), initial)
        bias = ops.parameter("b", (channels,), constant(0))
    with ops.scope("conv_offset_mask"):
        where = ops.convolution(x, 3 * TAPS, KERNEL, initial=constant(0), bias=0.0)
    if ops.channel_last:  # NNabla's function knows planes only
        x, where, weight = (F.transpose(values, (0, 3, 1, 2)) for values in (x, where, weight))
    y = _deform(x, where, weight, bias)
    return F.transpose(y, (0, 2, 3, 1)) if ops.channel_last else y


def _deform(x: nn.Variable, where: nn.Variable, weight: nn.Variable, bias: nn.Variable) -> nn.Variable:
    """All in NCHW.

    NNabla 1.39 on the CPU goes back wrongly unless x, weight, offset and mask all take gradients: silent zeros in the others'
    gradients, or a crash. So either all take them or none does.
    """
    if any(values.need_grad for values in (x, where, weight)):
        x, where, weight = (values if values.need_grad else _taking_gradients(values) for values in (x, where, weight))
    # Cut along the last three axes only: with the batch axis named, an .nnp could take no other batch.
    size = where.shape[2:]
    offset = F.slice(where, (0, 0, 0), (2 * TAPS, *size), (1, 1, 1))
    mask = F.sigmoid(F.slice(where, (2 * TAPS, 0, 0), (3 * TAPS, *size), (1, 1, 1)))
    return F.deformable_convolution(x, weight, offset, mask, bias, pad=(KERNEL // 2,) * 2)


def _taking_gradients(values: nn.Variable) -> nn.Variable:
    """The same values; gradients end here."""
    same = F.identity(values)
    same.need_grad = True
    return same
