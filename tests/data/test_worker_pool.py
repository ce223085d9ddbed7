"""What happens to samples that fail, hang or end their worker."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from centernet.data import worker_pool
from centernet.data.loader import Loader
from centernet.data.samples import LoaderError

METHODS = ["forkserver", *(pytest.param(method, marks=pytest.mark.slow) for method in ("spawn", "fork"))]


def ordered(source: Any, **options: Any) -> Loader:
    """Batches of two in file order, by two workers."""
    options = {"workers": 2, "prefetch": 2, **options}
    return Loader(source, global_batch=2, shuffle=False, drop_last=True, **options)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[Loader, set[int]], Loader]:
    """A loader whose limit for a sample is reached soon where it is one of `hanging`, and never elsewhere."""

    def watch(loader: Loader, hanging: set[int]) -> Loader:
        monkeypatch.setattr(worker_pool, "TICK", 0.05)
        monkeypatch.setattr(worker_pool, "monotonic", HangingTime(loader, hanging))
        return loader

    return watch


class HangingTime:
    """A clock that goes on only while all that is worked at hangs: how busy the machine is does not count."""

    def __init__(self, loader: Loader, hanging: set[int]) -> None:
        self.loader, self.hanging, self.now = loader, hanging, 0.0

    def __call__(self) -> float:
        workers = getattr(self.loader._maker, "_workers", [])
        firsts = [worker.tasks[0] for worker in workers if worker.tasks]
        if firsts and all(worker.is_ready for worker in workers) and {task.index + task.first for task in firsts} <= self.hanging:
            self.now += worker_pool.TICK
        return self.now


@pytest.mark.parametrize("start_method", METHODS)
@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("kill", r"^file 5: its worker process was ended by SIGKILL; out of memory, or a crash in a library$"),
        ("exit", r"^file 5: its worker process ended with exit code 7"),
        ("hang", r"^file 5: not done after \d s \(the limit is 0\.5 s\); its worker process was ended$"),
        ("hang_in_c", r"^file 5: not done after \d s \(the limit is 0\.5 s\); its worker process was ended$"),
        ("raise", r"(?s)^file 5: this sample failed: ZeroDivisionError: a bug\n.*numbered\.py.*in _act"),
    ],
)
def test_a_sample_that_takes_its_worker_along_is_named_when_it_is_due(
    numbered: ModuleType, watched: Callable[..., Loader], start_method: str, act: str, expected: str
) -> None:
    with watched(ordered(numbered.Numbered({5: act}), start_method=start_method, sample_seconds=0.5), {5}) as loader:
        batches = loader.epoch(0)
        assert [next(batches).names for _ in range(2)] == [["file 0", "file 1"], ["file 2", "file 3"]]
        with pytest.raises(LoaderError, match=expected):
            next(batches)


@pytest.mark.parametrize("act", ["kill", "exit", "hang_in_c", "raise"])
def test_a_lost_sample_is_skipped_by_policy_once_for_all_epochs(
    numbered: ModuleType, watched: Callable[..., Loader], act: str, caplog: pytest.LogCaptureFixture
) -> None:
    with watched(ordered(numbered.Numbered({4: act, 5: act}), on_bad="skip", sample_seconds=0.4, epochs=3), {4, 5}) as loader:
        for epoch in (0, 1, 2):
            for number, batch in enumerate(loader.epoch(epoch)):
                expected = {2: [6, 6]}.get(number, [2 * number, 2 * number + 1])
                assert batch.arrays["count"].tolist() == expected
                assert batch.names == [f"file {index}" for index in expected]
                assert (batch.arrays["drawn"] == np.eye(11)[expected]).all()  # nothing left of what was half drawn
        assert sorted(loader.bad_images) == [4, 5]
        assert loader.bad_images[4].startswith("file 4: ")
        assert "\n" not in loader.bad_images[4]
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [text.split(":")[0] for text in told] == ["file 4", "file 5"]


def test_without_workers_a_failing_sample_is_treated_alike(numbered: ModuleType) -> None:
    with ordered(numbered.Numbered({4: "raise"}), on_bad="skip", workers=0) as loader:
        assert [batch.names for batch in loader.epoch(0)][2] == ["file 5", "file 5"]
        assert loader.bad_images == {4: "file 4: this sample failed: ZeroDivisionError: a bug"}
    with (
        ordered(numbered.Numbered({0: "raise"}), workers=0) as loader,
        pytest.raises(LoaderError, match=r"file 0: this sample failed: ZeroDivisionError"),
    ):
        next(loader.epoch(0))


@pytest.mark.parametrize(("act", "workers"), [("raise", 0), ("raise", 2), ("kill", 2)])
def test_endless_losses_end_the_run(numbered: ModuleType, act: str, workers: int) -> None:
    source = numbered.Numbered(dict.fromkeys(range(numbered.COUNT), act))
    with (
        ordered(source, on_bad="skip", workers=workers) as loader,
        pytest.raises(LoaderError, match=r"10 times in a row a sample or its worker was lost, so it is not single files: file \d+: "),
    ):
        next(loader.epoch(0))


def test_workers_that_are_killed_while_idle_are_replaced(numbered: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    with ordered(numbered.Numbered()) as loader:
        next(loader.epoch(0))
        workers = loader._maker._workers  # type: ignore[union-attr]
        numbered.wait_for(lambda: len(workers) == 2 and all(worker.is_ready and not worker.tasks for worker in workers))
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        said = "an idle worker is replaced: its worker process was ended by SIGKILL"
        numbered.wait_for(lambda: caplog.text.count(said) == 2)
        assert len(list(loader.epoch(1))) == 5


def test_workers_leave_the_signals_of_a_terminal_or_launcher_to_their_parent(numbered: ModuleType) -> None:
    with ordered(numbered.Numbered(seconds=0.05), start_method="fork") as loader:  # the fork server may be another test's
        batches = loader.epoch(0)
        next(batches)
        for child in multiprocessing.active_children():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                os.kill(child.pid or 0, number)
        assert len(list(batches)) == 4


def test_a_pipeline_that_cannot_be_sent_is_an_error(numbered: ModuleType) -> None:
    source = numbered.Numbered()
    source.encode = lambda sample: sample
    with ordered(source) as loader, pytest.raises(LoaderError, match=r"cannot be sent to worker processes: .*lambda.*workers=0"):
        next(loader.epoch(0))


def test_a_worker_that_does_not_come_up_is_an_error(numbered: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        ordered(numbered.Unopenable(), start_method="spawn") as loader,
        pytest.raises(LoaderError, match=r"did not come up: .*exit code 1"),
    ):
        next(loader.epoch(0))
    assert "Error" in capfd.readouterr().err


def test_a_time_in_which_this_process_stood_still_is_not_held_against_the_workers(
    numbered: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(worker_pool, "monotonic", clock)
    with ordered(numbered.Numbered(seconds=0.5), sample_seconds=30.0) as loader:
        batches = loader.epoch(0)
        next(batches)
        clock.ahead = 1000.0  # a laptop's lid was closed, a debugger stopped, Ctrl-Z
        assert len(list(batches)) == 4


class Clock:
    """Time as it is, and jumps."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def test_workers_use_one_thread_each(numbered: ModuleType) -> None:
    with ordered(numbered.Threads(), start_method="fork") as loader:
        assert next(loader.epoch(0)).names == ["OpenCV 1, BLAS [1]"] * 2
