"""From a time and what a step takes to epochs and a schedule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centernet.engine.budget import RESERVE, Costs, duration_text, epochs_within, seconds_of, stretched
from centernet.engine.schedule import ScheduleConfig


def costs(step: float = 1.0, validation: float = 0.0, *, batches: int = 10, every: int = 5) -> Costs:
    return Costs(step=step, validation=validation, batches_per_epoch=batches, validate_every=every)


@pytest.mark.parametrize(
    ("text", "expected"), [("2h", 7200), ("1h30m", 5400), ("90m", 5400), ("1.5h", 5400), ("45s", 45), ("1h0m10s", 3610)]
)
def test_a_time_is_read_as_a_person_writes_it(text: str, expected: float) -> None:
    assert seconds_of(text) == expected


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-1h", "0h", "30m1h", "2d", "1e3s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time such as 2h, 1h30m, 90m or 45s"):
        seconds_of(text)


@pytest.mark.parametrize(("seconds", "expected"), [(6840, "1h 54min"), (200, "3min 20s"), (45.2, "45s"), (3599.7, "1h 0min")])
def test_a_time_is_said_as_a_person_says_it(seconds: float, expected: str) -> None:
    assert duration_text(seconds) == expected


@given(num_epochs=st.integers(1, 60), every=st.integers(1, 9))
def test_held_out_images_are_counted_as_training_measures_them(num_epochs: int, every: int) -> None:
    due = sum(epoch % every == 0 or epoch == num_epochs - 1 for epoch in range(num_epochs))
    assert costs(every=every).num_validations(num_epochs) == due


@given(seconds=st.floats(1, 1e6), step=st.floats(1e-2, 10), validation=st.floats(0, 1e3), every=st.integers(1, 9))
def test_the_chosen_epochs_fit_and_one_more_does_not(seconds: float, step: float, validation: float, every: int) -> None:
    measured = costs(step, validation, every=every)
    number = epochs_within(seconds, measured)
    assert number == 0 or measured.seconds(number) <= seconds * (1 - RESERVE)
    assert measured.seconds(number + 1) > seconds * (1 - RESERVE)


def test_validation_takes_its_share_of_the_time() -> None:
    assert epochs_within(100 / (1 - RESERVE) + 1e-6, costs()) == 10
    assert epochs_within(100 / (1 - RESERVE) + 1e-6, costs(validation=10.0)) == 7  # 70 s of steps, looks after epochs 0, 5 and 6


def test_a_schedule_keeps_its_shape_in_a_shorter_training() -> None:
    published = ScheduleConfig(kind="step", warmup_epochs=5, lr_steps=(90, 120), epochs=140)
    short = stretched(published, num_epochs=28, made_for=140)
    assert (short.warmup_epochs, short.lr_steps, short.epochs) == (1, (18, 24), 28)
    assert stretched(published, num_epochs=1, made_for=140).warmup_epochs == 0
    assert stretched(published, num_epochs=2, made_for=140).lr_steps == (1, 2)
    longer = stretched(published, num_epochs=280, made_for=140)
    assert (longer.warmup_epochs, longer.lr_steps) == (5, (180, 240))
    assert stretched(published, num_epochs=140, made_for=140) == published
    assert stretched(ScheduleConfig(epochs=20, warmup_epochs=5), num_epochs=7, made_for=140).epochs == 2  # after one of warm-up
    assert stretched(ScheduleConfig(warmup_epochs=0), num_epochs=3, made_for=140).warmup_epochs == 0


@pytest.mark.slow
def test_processes_of_different_speed_choose_the_epochs_of_the_slowest(mpirun: Callable[..., Any], tmp_path: Path) -> None:
    """Alone, the first would take 17 epochs for its hour."""
    ended = mpirun(2, "choose_epochs.py", tmp_path)
    assert ended.returncode == 0, ended.stderr
    first, second = sorted(line for line in ended.stdout.splitlines() if line.startswith("rank "))
    assert first.startswith("rank 0: 2 epochs of 2 steps, rates [")
    assert second == first.replace("rank 0", "rank 1")
    assert "measured 700 s for a step with its data" in ended.stdout
