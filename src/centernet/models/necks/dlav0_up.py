"""The predecessor's decoder for DLA: iterative up-sampling and aggregation to the finest level (arXiv:1707.06484, section 3.3)."""

from __future__ import annotations

import math

import nnabla as nn
from pydantic.dataclasses import dataclass

from centernet.errors import STRICT
from centernet.models.initial import bilinear, fan_out_normal, normal
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec

NUM_LEVELS = 4


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """Nothing to choose: the channels are those of the levels."""


def features(config: Config, inputs: list[FeatureSpec]) -> FeatureSpec:
    """The finest of four levels.

    Raises:
        ValueError: the inputs are not four levels, each of twice the stride of the one before.
    """
    strides = [level.stride for level in inputs]
    if strides != [inputs[0].stride << i for i in range(NUM_LEVELS)]:
        raise ValueError(f"expected {NUM_LEVELS} features that double in stride, found strides {strides}")
    return inputs[0]


def build(features: list[nn.Variable], ops: Ops, config: Config) -> nn.Variable:
    """The scopes' names are those of published files; they speak of strides as if the input were at stride 2."""
    level2, level3, level4, level5 = features
    wide, middle, narrow = (ops.channels(level) for level in (level4, level3, level2))
    with ops.scope("up16"):
        up16 = _up(level5, ops, wide)
    with ops.scope("up8"):
        up8 = _up(_join(up16, level4, ops, kernel=3), ops, middle)
    with ops.scope("up4"):
        with ops.scope("residual_level3"):
            level4_up = _up(level4, ops, middle)
            with ops.scope("level3up_root"):
                level3_joined = _join(level4_up, level3, ops, kernel=3)
            with ops.scope("x_root"):
                x = _join(up8, level3_joined, ops, kernel=1)
        up4 = _up(x, ops, narrow)
    with ops.scope("up2_b"):
        joined_up = _up(level3_joined, ops, narrow)
    with ops.scope("up2_c"):
        level3_up = _up(level3, ops, narrow)
        with ops.scope("level3up_c_root"):
            x = _join(level2, level3_up, ops, kernel=3)
        with ops.scope("level2up_root"):
            x = _join(joined_up, x, ops, kernel=3)
        with ops.scope("x_root"):
            return _join(up4, x, ops, kernel=3)


def _up(x: nn.Variable, ops: Ops, channels: int) -> nn.Variable:
    """Fewer channels, then twice the size by a trainable bilinear kernel per channel."""
    with ops.scope("up"):
        # The predecessor's variance counts a 4x4 kernel although this one is 1x1.
        x = ops.conv_bn(x, channels, 1, initial=normal(math.sqrt(2 / (4 * 4 * channels))))
        return ops.deconvolution(x, channels, initial=bilinear, depthwise=True)


def _join(a: nn.Variable, b: nn.Variable, ops: Ops, *, kernel: int) -> nn.Variable:
    """Two maps of one size and channel count into one."""
    with ops.scope("root"):
        return ops.conv_bn(ops.concatenate(a, b), ops.channels(a), kernel, initial=fan_out_normal)
