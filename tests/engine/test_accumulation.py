"""A batch in parts, one after another, trains as the whole of it does."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.engine import step as steps
from centernet.engine.communicator import Single
from centernet.engine.precision import LossScalingConfig
from centernet.engine.step import NonFiniteError


def train(
    toy: ModuleType, *, poison: Any = None, batch_stat: bool = False, scaling: LossScalingConfig | None = None, **options: Any
) -> Any:
    """Four steps of four images each: the reports, and the parameters at the end."""
    nn.clear_parameters()
    toy.draw_parameters()
    step = toy.make_step(Single(), batch_stat=batch_stat, scaling=scaling, gradient_clip=20.0, **options)
    reports = [step.run(batch.arrays, 1e-2) for batch in toy.Loader(poison=poison).epoch(0)]
    return reports, toy.parameter_values()


@pytest.mark.parametrize("accumulate", [2, 4])
@pytest.mark.parametrize("is_flat", [True, False])
def test_without_batch_norm_the_step_is_that_of_the_whole_batch(
    toy: ModuleType, monkeypatch: pytest.MonkeyPatch, accumulate: int, is_flat: bool
) -> None:
    monkeypatch.setattr(steps, "is_plain_cpu", lambda context: is_flat)
    reports, parameters = train(toy)
    found_reports, found = train(toy, accumulate=accumulate)
    for report, other in zip(reports, found_reports, strict=True):
        assert other.losses == pytest.approx(report.losses, rel=1e-5)
        assert other.gradient_norm == pytest.approx(report.gradient_norm, rel=1e-5)
    for name, values in parameters.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_batch_norm_sees_one_part_at_a_time(toy: ModuleType) -> None:
    _, parameters = train(toy, batch_stat=True)
    _, found = train(toy, batch_stat=True, accumulate=2)
    assert not np.allclose(found["norm/bn/mean"], parameters["norm/bn/mean"], rtol=1e-3)


def test_an_overflow_in_one_part_skips_the_whole_step_and_its_statistics(toy: ModuleType) -> None:
    scaling = LossScalingConfig(scale=8.0, dynamic=True)
    reports, found = train(toy, batch_stat=True, scaling=scaling, accumulate=2, poison=(0, 3, 0))
    assert [report.is_skipped for report in reports] == [False, False, False, True]
    assert all(np.isfinite(values).all() for values in found.values())


@pytest.mark.parametrize("image", [0, 3])
def test_the_part_that_is_not_finite_is_looked_into(toy: ModuleType, image: int) -> None:
    with pytest.raises(NonFiniteError, match="the input 'target' itself is not finite"):
        train(toy, accumulate=2, poison=(0, 1, image))
