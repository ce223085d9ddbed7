from __future__ import annotations

import numpy as np
import pytest

from centernet.models import initial

SHAPE = (64, 32, 3, 3)


def test_the_spread_is_the_one_of_the_papers() -> None:
    rng = np.random.default_rng(0)
    assert initial.fan_out_normal(rng, SHAPE).var() == pytest.approx(2 / (9 * 64), rel=0.05)
    assert initial.normal(0.001)(rng, SHAPE).std() == pytest.approx(0.001, rel=0.05)
    glorot = initial.glorot_uniform(rng, SHAPE)
    assert np.abs(glorot).max() == pytest.approx(np.sqrt(6 / (9 * 96)), rel=0.01)
    fan_in = initial.fan_in_uniform(rng, SHAPE)
    assert np.abs(fan_in).max() == pytest.approx(1 / np.sqrt(9 * 32), rel=0.01)
    assert abs(fan_in.mean()) < 0.001


def test_all_are_float32_of_the_asked_shape() -> None:
    kinds = (
        initial.constant(2),
        initial.normal(1),
        initial.fan_out_normal,
        initial.fan_in_uniform,
        initial.glorot_uniform,
        initial.bilinear,
    )
    for kind in kinds:
        values = kind(np.random.default_rng(0), SHAPE)
        assert values.shape == SHAPE
        assert values.dtype == np.float32
        assert values.flags.c_contiguous


def test_the_bilinear_kernel_is_the_one_of_doubling() -> None:
    row = np.array([0.25, 0.75, 0.75, 0.25])
    kernel = initial.bilinear(np.random.default_rng(0), (2, 1, 4, 4))
    np.testing.assert_allclose(kernel[0, 0], np.outer(row, row))
    np.testing.assert_array_equal(kernel[0], kernel[1])
