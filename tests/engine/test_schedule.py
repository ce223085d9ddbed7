from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet import config as configuration
from centernet.engine.schedule import ScheduleConfig, for_global_batch, learning_rate
from centernet.errors import ConfigError


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
        kind=st.sampled_from(["cosine", "step", "polynomial", "one_cycle", "exponential"]),
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


def test_a_polynomial_falls_to_its_last_factor() -> None:
    config = ScheduleConfig(kind="polynomial", base_lr=1.0, warmup_epochs=1, power=2.0, final_factor=0.2)
    found = rates(config, num_epochs=5, batches=5)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[5:] == pytest.approx([0.2 + 0.8 * (1 - i / 20) ** 2 for i in range(20)])


def test_an_exponential_reaches_its_decay_rate_at_the_end() -> None:
    config = ScheduleConfig(kind="exponential", base_lr=2.0, warmup_epochs=2, decay_rate=0.01)
    found = rates(config, num_epochs=4, batches=10)
    assert found[20:] == pytest.approx([2.0 * 0.01 ** (i / 20) for i in range(20)])
    assert found[21] / found[20] == pytest.approx(found[39] / found[38])


def test_one_cycle_rises_and_falls_along_cosines() -> None:
    config = ScheduleConfig(kind="one_cycle", base_lr=1.0, warmup_epochs=3, rise_from=20.0, final_factor=0.001)
    found = rates(config, num_epochs=10, batches=10)
    up = [0.05 + 0.95 * 0.5 * (1 - math.cos(math.pi * (i + 1) / 30)) for i in range(30)]
    down = [0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * i / 70)) for i in range(70)]
    assert found == pytest.approx([*up, *down])
    assert max(found) == found[29] == found[30] == 1.0


@pytest.mark.parametrize("kind", ["cosine", "polynomial", "one_cycle", "exponential", "step"])
def test_every_schedule_can_hold_its_rate_for_an_epoch(kind: Any) -> None:
    config = ScheduleConfig(kind=kind, base_lr=1.0, warmup_epochs=2, lr_steps=(4,), per="epoch")
    found = rates(config, num_epochs=6, batches=3)
    assert [found[i] for i in range(0, 18, 3)] == [found[i] for i in range(2, 18, 3)]
    assert len(set(found)) > 3 or kind == "step"


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"kind": "one_cycle", "legacy_warmup": True}, "legacy_warmup: the warm-up of one_cycle is a cosine"),
        ({"kind": "exponential", "final_factor": 0.1}, "final_factor: is of cosine, polynomial and one_cycle; exponential ends where"),
        ({"kind": "cosine", "power": 2.0}, "power: is of polynomial, found cosine"),
        ({"kind": "polynomial", "rise_from": 10.0}, "rise_from: is of one_cycle, found polynomial"),
        ({"epochs": 5}, r"epochs: the way down of cosine ends after 5, but warm-up takes 5 \(warmup_epochs\)"),
        ({"kind": "onecycle"}, "test: kind: found 'onecycle'.*'one_cycle'"),
    ],
)
def test_what_no_schedule_takes_is_refused(tree: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configuration.validate(ScheduleConfig, tree, source="test")


def test_the_default_cosine_is_bit_for_bit_the_published_formula() -> None:
    config = ScheduleConfig(base_lr=5e-4, warmup_epochs=5)
    found = [learning_rate(config, epoch=e, batch=b, batches_per_epoch=7, num_epochs=140) for e in range(5, 140) for b in range(7)]
    assert found == [0.5 * 5e-4 * (1 + math.cos(math.pi * ((e + b / 7 - 5) / 135))) for e in range(5, 140) for b in range(7)]
