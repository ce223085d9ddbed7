from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.engine.schedule import ScheduleConfig, for_global_batch, learning_rate


def rates(config: ScheduleConfig, *, num_epochs: int, batches: int) -> list[float]:
    positions = [(epoch, batch) for epoch in range(num_epochs) for batch in range(batches)]
    return [learning_rate(config, epoch=e, batch=b, batches_per_epoch=batches, num_epochs=num_epochs) for e, b in positions]


def test_warm_up_rises_with_every_step_and_ends_at_the_base_rate() -> None:
    found = rates(ScheduleConfig(base_lr=1.0, warmup_epochs=2), num_epochs=3, batches=4)
    assert found[:8] == pytest.approx([(i + 1) / 8 for i in range(8)])


def test_a_cosine_falls_from_the_base_rate_to_nearly_zero_without_a_jump() -> None:
    found = rates(ScheduleConfig(base_lr=1.0, warmup_epochs=1), num_epochs=11, batches=10)
    expected = [0.5 * (1 + math.cos(math.pi * i / 100)) for i in range(100)]
    assert found[10:] == pytest.approx(expected)


def test_a_cosine_that_ends_before_training_stays_at_zero() -> None:
    config = ScheduleConfig(base_lr=1.0, warmup_epochs=0, epochs=2)
    assert rates(config, num_epochs=4, batches=1)[2:] == [0.0, 0.0]


def test_steps_multiply_by_the_decay_rate_from_their_epoch_on() -> None:
    config = ScheduleConfig(kind="step", base_lr=1.0, warmup_epochs=0, lr_steps=(1, 3), decay_rate=0.1)
    assert rates(config, num_epochs=4, batches=2) == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_legacy_warm_up_divides_by_one_epoch_more() -> None:
    config = ScheduleConfig(kind="step", base_lr=1.0, warmup_epochs=4, legacy_warmup=True)
    assert rates(config, num_epochs=5, batches=1) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


@given(
    config=st.builds(
        ScheduleConfig,
        kind=st.sampled_from(["cosine", "step"]),
        base_lr=st.just(1e-3),
        warmup_epochs=st.integers(0, 6),
        per=st.sampled_from(["iteration", "epoch"]),
    ),
    num_epochs=st.integers(1, 8),
    batches=st.integers(1, 5),
)
def test_a_rate_is_never_negative_and_never_above_the_base_rate(config: Any, num_epochs: int, batches: int) -> None:
    assert all(0 <= rate <= config.base_lr * (1 + 1e-12) for rate in rates(config, num_epochs=num_epochs, batches=batches))


def test_a_rate_grows_with_the_global_batch_only_where_that_is_asked_for() -> None:
    assert for_global_batch(ScheduleConfig(base_lr=0.5), 64) == ScheduleConfig(base_lr=0.5)
    scaled = for_global_batch(ScheduleConfig(base_lr=0.5, scale_lr_from=32, warmup_epochs=2), 64)
    assert scaled == ScheduleConfig(base_lr=1.0, warmup_epochs=2)
    assert for_global_batch(ScheduleConfig(base_lr=0.5, scale_lr_from=32), 8).base_lr == 0.125
