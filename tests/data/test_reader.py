"""Samples read ahead by threads: in order, and never longer than the limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong

import numpy as np
import pytest

from centernet.data import reader
from centernet.data.reader import read_ahead
from centernet.errors import DataError
from centernet.structures import Sample

LIMIT = 0.2
PATIENCE = 240.0  # seconds with a slow machine


class Numbered:
    """Sample i is an image of grey level i; those in `damaged` cannot be read, and those in `hanging` not before `released`."""

    def __init__(self, *, damaged: set[int] | None = None, hanging: set[int] | None = None) -> None:
        self.damaged, self.hanging = damaged or set(), hanging or set()
        self.released = threading.Event()
        self.asked: list[int] = []
        self.asked_for = threading.Condition()

    def name(self, index: int) -> str:
        return f"{index}.jpg"

    def sample(self, index: int) -> Sample:
        with self.asked_for:
            self.asked.append(index)
            self.asked_for.notify_all()
        if index in self.hanging:
            self.released.wait()
        if index in self.damaged:
            raise DataError(f"{self.name(index)}: damaged")
        return Sample(image=np.full((2, 2, 3), index, np.uint8), boxes=np.zeros((0, 4)), class_ids=np.zeros(0), name=self.name(index))


@pytest.fixture
def hanging(read_to_the_limit: Callable[[Numbered], None]) -> Iterator[Numbered]:
    dataset = Numbered(hanging={1, 2, 5})
    read_to_the_limit(dataset)
    yield dataset
    dataset.released.set()


@pytest.fixture
def read_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Numbered], None]:
    """The limit is reached at once by samples 0, 1, ... of a data set that hang, and never by others, however busy the machine is."""

    def patch(dataset: Numbered) -> None:
        class Watched(Future[Sample]):
            due = 0  # how many samples were waited for, which is done in their order

            def result(self, timeout: float | None = None) -> Sample:
                index, Watched.due = Watched.due, Watched.due + 1
                assert timeout == LIMIT
                if index not in dataset.hanging:
                    return super().result(PATIENCE)
                with dataset.asked_for:
                    assert dataset.asked_for.wait_for(lambda: index in dataset.asked, PATIENCE)
                raise WaitedTooLong

        monkeypatch.setattr(reader, "Future", Watched)

    return patch


@pytest.mark.parametrize("ahead", [0, 1, 100])
def test_samples_come_in_the_order_of_the_indices(ahead: int) -> None:
    found = list(read_ahead(Numbered(), [4, 0, 3, 0], ahead=ahead))
    assert [index for index, _ in found] == [4, 0, 3, 0]
    assert [int(sample.image[0, 0, 0]) for _, sample in found] == [4, 0, 3, 0]


def test_no_more_is_read_ahead_than_allowed_and_no_thread_stays() -> None:
    dataset, before = Numbered(), set(threading.enumerate())
    samples = read_ahead(dataset, range(100), ahead=3)
    next(samples)
    samples.close()  # type: ignore[attr-defined]
    assert len(dataset.asked) <= 4
    assert set(threading.enumerate()) <= before


def test_an_unreadable_image_ends_the_run_or_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataError, match=r"1\.jpg: damaged"):
        list(read_ahead(Numbered(damaged={1}), range(3)))
    assert [index for index, _ in read_ahead(Numbered(damaged={1}), range(3), on_bad_image="skip")] == [0, 2]
    assert [record.getMessage() for record in caplog.records] == ["skipped, it counts as an image without detections: 1.jpg: damaged"]


def test_an_image_that_hangs_ends_the_run_with_its_name(hanging: Numbered) -> None:
    with pytest.raises(DataError, match=r"1\.jpg: not read after 0\.2 s \(the limit is data\.sample_seconds\)"):
        list(read_ahead(hanging, range(8), sample_seconds=LIMIT))


def test_more_images_that_hang_than_threads_are_left_out_one_by_one(hanging: Numbered) -> None:
    found = read_ahead(hanging, range(8), workers=2, on_bad_image="skip", sample_seconds=LIMIT)
    assert [index for index, _ in found] == [0, 3, 4, 6, 7]


def test_a_thread_that_comes_back_after_it_was_given_up_ends(read_to_the_limit: Callable[[Numbered], None]) -> None:
    dataset, before = Numbered(hanging={0}), set(threading.enumerate())
    read_to_the_limit(dataset)
    list(read_ahead(dataset, range(2), on_bad_image="skip", sample_seconds=LIMIT))
    (given_up,) = set(threading.enumerate()) - before
    dataset.released.set()
    given_up.join(PATIENCE)
    assert not given_up.is_alive()
