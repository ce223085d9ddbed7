"""Initial values of parameters: pure functions of a random generator and a shape.

Shapes are those of the NCHW layout, (out, in, kh, kw) for a convolution and (in, out / group, kh, kw) for a
transposed one, so that a network starts from the same numbers in either layout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Initial = Callable[[np.random.Generator, tuple[int, ...]], Array]


def constant(value: float) -> Initial:
    """The same number everywhere."""
    return lambda rng, shape: np.full(shape, value, np.float32)


def normal(std: float) -> Initial:
    """Normal with mean 0."""
    return lambda rng, shape: _float32(rng.standard_normal(shape, np.float32) * std)


def fan_out_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with variance 2 / (kh * kw * out) (He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852, eq. 14)."""
    out, _, height, width = shape
    return normal(np.sqrt(2.0 / (height * width * out)))(rng, shape)


def fan_in_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within +-1 / sqrt(kh * kw * in)."""
    return _uniform(rng, shape, 1.0 / np.sqrt(np.prod(shape[1:])))


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform within +-sqrt(6 / (kh * kw * (in + out))) (Glorot and Bengio 2010, eq. 16)."""
    out, channels, height, width = shape
    return _uniform(rng, shape, np.sqrt(6.0 / (height * width * (channels + out))))


def bilinear(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """The kernel of bilinear enlargement, for a depthwise transposed convolution whose stride is half its kernel."""
    height, width = shape[2:]
    kernel = np.outer(_triangle(height), _triangle(width))
    return _float32(np.broadcast_to(kernel, shape))


def _triangle(size: int) -> Array:
    stride = (size + 1) // 2
    centre = (size - 1) / 2
    return 1 - np.abs(np.arange(size) - centre) / stride


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], limit: float) -> Array:
    return _float32((rng.random(shape, np.float32) * 2 - 1) * limit)


def _float32(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float32)
