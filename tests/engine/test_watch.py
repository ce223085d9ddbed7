from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from centernet.engine.watch import Pulse, Report, verdict

TIMEOUT = 45.0
WELL = Report(waiting=None, quiet=1.0, granted=TIMEOUT, is_busy=False, doing="training", where="", host="a")


def judge(*reports: tuple[float, Report]) -> str | None:
    return verdict(dict(enumerate(reports)), size=len(reports), timeout=TIMEOUT)


@pytest.mark.parametrize(
    "report",
    [
        WELL,
        replace(WELL, waiting=10_000.0, quiet=10_000.0),  # for one that computes for long
        replace(WELL, quiet=100.0, granted=TIMEOUT + 120, doing="waiting for data"),
    ],
)
def test_who_waits_or_has_been_granted_the_time_does_not_hang(report: Report) -> None:
    assert judge((0.0, report), (1.0, WELL)) is None


def test_who_shows_no_sign_of_life_is_named_with_what_it_does_and_where() -> None:
    hung = replace(WELL, quiet=46.0, doing="waiting for data", where="loader.py:7 next", host="b")
    said = judge((0.0, replace(WELL, waiting=46.0)), (1.0, hung))
    assert said == "rank 1 of 2 on b hangs: no progress for 46 s while waiting for data (loader.py:7 next)"


def test_who_is_not_heard_of_any_more_is_named() -> None:
    said = judge((0.0, WELL), (50.0, replace(WELL, host="b")))
    assert said is not None
    assert said.startswith("rank 1 of 2 on b has been silent for 50 s: it is stopped, or its machine is down")


def test_who_waits_inside_a_library_is_not_blamed_for_one_that_hangs() -> None:
    busy, hung = replace(WELL, quiet=50.0, is_busy=True), replace(WELL, quiet=46.0)
    for reports, guilty in (((busy, hung), 1), ((hung, busy), 0), ((busy, WELL), 0)):
        said = judge(*((0.0, report) for report in reports))
        assert said is not None
        assert said.startswith(f"rank {guilty} of 2")


def test_who_computes_far_longer_than_all_others_did_is_named_once_they_wait() -> None:
    waits = replace(WELL, waiting=46.0, worked=9.0)
    spins = replace(WELL, computed=46.0, doing="training", where="step.py:7 run", host="b")
    said = "rank 1 of 2 on b hangs: all others wait while it computes, for 46 s, training (step.py:7 run)"
    assert judge((0.0, waits), (1.0, spins)) == said
    for one, other in [
        (replace(waits, waiting=44.0), spins),
        (replace(waits, worked=10.0), spins),  # it may be five times as slow
        (waits, replace(spins, computed=44.0)),
        (waits, replace(spins, granted=165.0)),
        (replace(waits, waiting=None), spins),
    ]:
        assert judge((0.0, one), (1.0, other)) is None
    assert judge((0.0, waits), (1.0, spins), (1.0, WELL)) is None


def test_a_report_says_what_was_computed_and_what_it_took_to_get_where_it_waits(clock: Clock) -> None:
    pulse = Pulse(TIMEOUT)
    with pulse.doing("training"):
        clock.steps(pulse, seconds=5)
        assert clock.after(pulse, 7, cpu=0.5).computed == pytest.approx(3.0)  # from its first second on
        with pulse.waiting("the others"):
            report = clock.after(pulse, 3)
        assert (report.worked, report.computed) == (7.0, 0.0)
        assert clock.after(pulse, 2, cpu=1.0).computed == pytest.approx(1.0)


def test_all_waiting_for_each_other_for_long_is_an_error() -> None:
    one, other = (replace(WELL, waiting=451.0, doing=f"waiting for {what}") for what in ("rank 0", "all others"))
    said = "all processes wait for each other: rank 0 is waiting for rank 0, rank 1 is waiting for all others"
    assert judge((0.0, one), (0.0, other)) == said
    assert judge((0.0, one), (0.0, replace(other, waiting=1.0))) is None


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.cpu = 5.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def after(self, pulse: Pulse, seconds: float, *, cpu: float = 0.0) -> Report:
        """Reports as the thread makes them, once a second."""
        report = None
        for _ in range(round(seconds)):
            self.now += 1
            self.cpu += cpu
            report = pulse.report(now=self.now, cpu=self.cpu)
        assert report is not None
        return report

    def steps(self, pulse: Pulse, *, seconds: float) -> None:
        """Four of them, so that it is known how long one takes."""
        for _ in range(4):
            self.after(pulse, seconds, cpu=1.0)
            pulse.beat()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def is_hung(report: Report) -> bool:
    return judge((0.0, WELL), (0.0, report)) is not None


def test_a_main_thread_that_neither_computes_nor_gets_on_hangs(clock: Clock) -> None:
    pulse = Pulse(TIMEOUT)
    with pulse.doing("training"):
        assert not is_hung(clock.after(pulse, 45))
        report = clock.after(pulse, 2)
        assert is_hung(report)
        assert "test_watch.py" in report.where
        pulse.beat()
        assert not is_hung(clock.after(pulse, 40))


def test_a_first_step_that_computes_for_an_hour_does_not_hang(clock: Clock) -> None:
    pulse = Pulse(TIMEOUT)
    with pulse.doing("training"):
        assert not is_hung(clock.after(pulse, 3600, cpu=0.5))


def test_a_step_that_computes_twenty_times_as_long_as_any_before_hangs(clock: Clock) -> None:
    pulse = Pulse(TIMEOUT)
    with pulse.doing("training"):
        clock.steps(pulse, seconds=5)
        assert not is_hung(clock.after(pulse, 99, cpu=1.0))
        assert is_hung(clock.after(pulse, 2, cpu=1.0))
        with pulse.doing("measuring"):  # something else may take its time
            assert not is_hung(clock.after(pulse, 1000, cpu=1.0))
        assert not is_hung(clock.after(pulse, 99, cpu=1.0))


def test_the_time_waited_for_others_is_nobodys_own(clock: Clock) -> None:
    pulse = Pulse(TIMEOUT)
    with pulse.doing("training"):
        clock.steps(pulse, seconds=1)
        with pulse.waiting("the others"):
            assert clock.after(pulse, 500).doing == "waiting for the others"
        assert not is_hung(clock.after(pulse, 40, cpu=1.0))


def test_the_time_a_process_was_stopped_does_not_count(clock: Clock) -> None:
    pulse = Pulse(TIMEOUT)
    with pulse.doing("training"):
        clock.steps(pulse, seconds=1)
        clock.now += 3600
        pulse.excuse(clock.now)
        assert not is_hung(clock.after(pulse, 45))
        assert is_hung(clock.after(pulse, 2))


def test_more_time_is_granted_where_it_is_asked_for(clock: Clock) -> None:
    pulse = Pulse(TIMEOUT)
    with pulse.doing("training"), pulse.doing("waiting for data", extra=120.0):
        assert not is_hung(clock.after(pulse, 165))
        assert is_hung(clock.after(pulse, 2))


def test_before_the_first_step_half_an_hour_is_granted(clock: Clock) -> None:
    pulse: Any = Pulse(TIMEOUT)
    assert not is_hung(clock.after(pulse, 1845))
    assert is_hung(clock.after(pulse, 2))
