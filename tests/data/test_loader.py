from __future__ import annotations

import gc
import threading
import time
from collections.abc import Mapping

import numpy as np
import pytest

from centernet.data.loader import Batch, Loader
from centernet.data.pipeline import Item
from centernet.errors import ConfigError, DataError
from centernet.structures import Array


class Numbers:
    """Eleven samples whose arrays say epoch and index; odd ones take longer, `fails` raises."""

    def __init__(self, *, fails: int | None = None, seconds: float = 0.0) -> None:
        self.fails, self.seconds = fails, seconds
        self.written_in_place = 0

    def __len__(self) -> int:
        return 11

    def item(self, epoch: int, index: int, *, out: Mapping[str, Array] | None = None) -> Item:
        if index == self.fails:
            raise DataError(f"file {index}: broken")
        time.sleep(self.seconds * (index % 2))
        image = np.empty((2, 3), np.float32) if out is None else out["image"]
        self.written_in_place += out is not None
        image[...] = 100 * epoch + index
        return Item({"image": image, "count": np.asarray(index, np.int32)}, f"file {index}")


def _same(left: list[Batch], right: list[Batch]) -> bool:
    return len(left) == len(right) and all(
        a.names == b.names and a.arrays.keys() == b.arrays.keys() and all((a.arrays[k] == b.arrays[k]).all() for k in a.arrays)
        for a, b in zip(left, right, strict=True)
    )


@pytest.fixture(autouse=True)
def no_thread_is_left() -> object:
    yield
    gc.collect()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("loader")] == []


def test_arrays_are_stacked_in_the_order_of_the_names() -> None:
    loader = Loader(Numbers(), global_batch=4, shuffle=False)
    batches = list(loader.epoch(2))
    assert [batch.names for batch in batches] == [[f"file {i % 11}" for i in range(k, k + 4)] for k in (0, 4, 8)]
    assert batches[0].arrays["image"].shape == (4, 2, 3)
    assert batches[0].arrays["image"].dtype == np.float32
    assert batches[0].arrays["image"].flags.c_contiguous
    assert batches[0].arrays["image"][:, 1, 2].tolist() == [200, 201, 202, 203]
    assert batches[2].arrays["count"].tolist() == [8, 9, 10, 0]
    assert batches[2].arrays["count"].dtype == np.int32
    assert len(loader) == loader.batches_per_epoch == 3


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_bytes_do_not_depend_on_the_number_of_workers(workers: int) -> None:
    alone = Loader(Numbers(), global_batch=3, seed=5)
    together = Loader(Numbers(seconds=0.002), global_batch=3, seed=5, workers=workers)
    for epoch in (0, 1):
        assert _same(list(together.epoch(epoch)), list(alone.epoch(epoch)))


def test_an_epoch_can_start_in_the_middle() -> None:
    loader = Loader(Numbers(), global_batch=2, seed=5, workers=2)
    assert _same(list(loader.epoch(3, start_batch=4)), list(loader.epoch(3))[4:])
    assert list(loader.epoch(3, start_batch=6)) == []


def test_ranks_share_each_global_batch() -> None:
    alone = list(Loader(Numbers(), global_batch=4, seed=1).epoch(0))
    ranks = [list(Loader(Numbers(), global_batch=4, seed=1, rank=rank, size=2, workers=1).epoch(0)) for rank in (0, 1)]
    assert [a.names + b.names for a, b in zip(*ranks, strict=True)] == [batch.names for batch in alone]


def test_all_but_the_first_samples_of_a_batch_are_written_in_place() -> None:
    source = Numbers()
    list(Loader(source, global_batch=11).epoch(0))
    assert source.written_in_place == 10


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_is_raised_when_its_batch_is_due(workers: int) -> None:
    batches = Loader(Numbers(fails=9), global_batch=2, shuffle=False, workers=workers).epoch(0)
    assert [next(batches).names[0] for _ in range(4)] == ["file 0", "file 2", "file 4", "file 6"]
    with pytest.raises(DataError, match="file 9: broken"):
        next(batches)


def test_leaving_an_epoch_early_ends_its_threads() -> None:
    loader = Loader(Numbers(seconds=0.01), global_batch=2, workers=3)
    for _ in loader.epoch(0):
        break
    batches = loader.epoch(0)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert len(list(loader.epoch(1))) == 6


def test_the_time_spent_waiting_is_measured() -> None:
    loader = Loader(Numbers(seconds=0.02), global_batch=11, workers=0)
    list(loader.epoch(0))
    assert 0.1 <= loader.wait_seconds < 5
    ahead = Loader(Numbers(seconds=0.001), global_batch=2, workers=2, prefetch=2)
    for number, _ in enumerate(ahead.epoch(0)):
        if number == 0:
            began = ahead.wait_seconds
        time.sleep(0.03)  # a trainer slower than its data
    assert ahead.wait_seconds - began < 0.05


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"global_batch": 4, "workers": -1}, "workers=-1"),
        ({"global_batch": 4, "prefetch": 0}, "prefetch=0"),
        ({"global_batch": 12, "drop_last": True}, "11 samples do not fill one global batch of 12"),
        ({"global_batch": 1, "size": 2}, "cannot be shared by 2 processes"),
    ],
)
def test_impossible_numbers_are_refused_at_once(arguments: dict[str, int], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        Loader(Numbers(), **arguments)  # type: ignore[arg-type]
