from __future__ import annotations

import pytest

from centernet.engine.precision import LossScaler, LossScalingConfig
from centernet.errors import TrainingError


def test_whoever_gives_up_says_where_the_overflow_was() -> None:
    scaler = LossScaler(LossScalingConfig(scale=8.0, dynamic=True, max_skips=1))
    scaler.update(False, explain=lambda: pytest.fail("asked too early"))
    with pytest.raises(TrainingError, match=r"loss scale 4: the first output is that of x; lower the learning rate"):
        scaler.update(False, explain=lambda: "the first output is that of x")


def test_a_scale_that_does_not_change_is_the_configurations_also_after_a_resume() -> None:
    scaler = LossScaler(LossScalingConfig(scale=4.0))
    scaler.restore({"scale": 16.0, "counter": 3, "skips": 0})
    assert scaler.state() == {"scale": 4.0, "counter": 0, "skips": 0}
    assert scaler.is_used
    assert not LossScaler().is_used


def test_a_static_scale_never_changes() -> None:
    scaler = LossScaler(LossScalingConfig(scale=4.0))
    for is_finite in (True, False, True):
        scaler.update(is_finite)
    assert scaler.state() == {"scale": 4.0, "counter": 0, "skips": 0}


def test_a_dynamic_scale_halves_on_overflow_and_doubles_after_enough_good_steps() -> None:
    scaler = LossScaler(LossScalingConfig(scale=8.0, dynamic=True, growth_interval=3))
    scales = []
    for is_finite in (True, True, False, True, True, True, True):
        scaler.update(is_finite)
        scales.append(scaler.scale)
    assert scales == [8, 8, 4, 4, 4, 8, 8]


def test_too_many_overflows_in_a_row_end_training() -> None:
    scaler = LossScaler(LossScalingConfig(scale=8.0, dynamic=True, max_skips=2))
    scaler.update(False)
    scaler.update(False)
    with pytest.raises(TrainingError, match=r"not finite in 3 steps in a row.*loss scale 2.*float32"):
        scaler.update(False)


def test_a_restored_scaler_goes_on_where_the_other_was() -> None:
    config = LossScalingConfig(scale=8.0, dynamic=True, growth_interval=2)
    one, other = LossScaler(config), LossScaler(config)
    one.update(False)
    one.update(True)
    other.restore(one.state())
    for scaler in (one, other):
        scaler.update(True)
    assert other.state() == one.state() == {"scale": 8.0, "counter": 0, "skips": 0}
