from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from centernet.data import loader as loader_module
from centernet.data.loader import Batch, Loader
from centernet.errors import ConfigError, DataError

Copied = tuple[list[str], dict[str, list[object]]]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Neither a thread nor a process nor a descriptor, except the fork server's and the one that its folder goes with."""
    multiprocessing.set_forkserver_preload([])
    before = len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    assert [thread.name for thread in threading.enumerate() if thread.name == "loader"] == []
    assert multiprocessing.active_children() == []
    assert len(os.listdir("/proc/self/fd")) <= before + 3


@pytest.fixture
def make(numbered: ModuleType) -> Iterator[Callable[..., Loader]]:
    """A loader of `numbered.Numbered(acts, ...)`, closed at the end."""
    made: list[Loader] = []

    def loader(
        acts: dict[int, str] | None = None,
        *,
        seconds: float = 0.0,
        wide_epochs: tuple[int, ...] = (),
        diary: Path | None = None,
        **options: object,
    ) -> Loader:
        source = numbered.Numbered(acts, seconds=seconds, wide_epochs=wide_epochs, diary=diary)
        made.append(Loader(source, **options))  # type: ignore[arg-type]
        return made[-1]

    yield loader
    for loader_ in made:
        loader_.close()


def copied(batches: Iterator[Batch]) -> list[Copied]:
    """The batches as they were when they came."""
    return [(batch.names, {name: array.tolist() for name, array in batch.arrays.items()}) for batch in batches]


def test_arrays_are_stacked_in_the_order_of_the_names(make: Callable[..., Loader]) -> None:
    loader = make(global_batch=4, shuffle=False)
    names, counts = [], []
    for batch in loader.epoch(2):
        names.append(batch.names)
        counts.append(batch.arrays["count"].tolist())
        assert batch.arrays["image"].shape == (4, 2, 3)
        assert batch.arrays["image"].dtype == np.float32
        assert batch.arrays["count"].dtype == np.int32
        assert all(array.flags.c_contiguous for array in batch.arrays.values())
        assert batch.arrays["image"][:, 1, 2].tolist() == [200 + count for count in counts[-1]]
        assert (batch.arrays["drawn"] == np.eye(11)[counts[-1]]).all()
    assert counts == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 0]]
    assert names == [[f"file {count}" for count in part] for part in counts]
    assert len(loader) == loader.batches_per_epoch == 3


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_bytes_do_not_depend_on_the_number_of_workers(make: Callable[..., Loader], workers: int) -> None:
    alone = make(global_batch=3, seed=5)
    together = make(seconds=0.002, global_batch=3, seed=5, workers=workers)
    for epoch in (0, 1):
        assert copied(together.epoch(epoch)) == copied(alone.epoch(epoch))


@pytest.mark.parametrize("start_method", ["forkserver", "spawn", "fork"])
def test_the_bytes_do_not_depend_on_how_workers_start_or_how_far_they_look_ahead(make: Callable[..., Loader], start_method: str) -> None:
    alone = make(global_batch=2, seed=5)
    together = make(global_batch=2, seed=5, workers=2, prefetch=5, epochs=3, start_method=start_method)
    for epoch in (0, 1, 2):
        assert copied(together.epoch(epoch)) == copied(alone.epoch(epoch))


def test_workers_are_forked_from_a_process_whose_opencv_has_threads(make: Callable[..., Loader]) -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (1500, 1500))  # they begin with the first large image
        loader = make(global_batch=2, seed=5, workers=1, start_method="fork")
        assert copied(loader.epoch(0)) == copied(make(global_batch=2, seed=5).epoch(0))
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_start_in_the_middle(make: Callable[..., Loader], workers: int) -> None:
    loader = make(global_batch=2, seed=5, workers=workers, epochs=5)
    assert copied(loader.epoch(3, start_batch=4)) == copied(loader.epoch(3))[4:]
    assert list(loader.epoch(3, start_batch=6)) == []


def test_ranks_share_each_global_batch(make: Callable[..., Loader]) -> None:
    alone = copied(make(global_batch=4, seed=1).epoch(0))
    ranks = [copied(make(global_batch=4, seed=1, rank=rank, size=2, workers=1, start_method="fork").epoch(0)) for rank in (0, 1)]
    assert [a[0] + b[0] for a, b in zip(*ranks, strict=True)] == [names for names, _ in alone]


def test_an_evaluation_counts_every_sample_once_and_a_share_may_be_empty(make: Callable[..., Loader]) -> None:
    ranks = [copied(make(global_batch=5, shuffle=False, fill_last=False, rank=rank, size=5).epoch(0)) for rank in range(5)]
    assert [len(batches) for batches in ranks] == [3] * 5
    assert sorted(name for batches in ranks for names, _ in batches for name in names) == sorted(f"file {i}" for i in range(11))
    assert ([], {}) in [batches[2] for batches in ranks]


@pytest.mark.parametrize(("act", "on_bad"), [("skip", "stop"), ("raise", "skip")])
@pytest.mark.parametrize("workers", [0, 1])
def test_in_an_evaluation_no_sample_takes_the_place_of_a_bad_one(
    make: Callable[..., Loader], act: str, on_bad: str, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    acts = dict.fromkeys((1, 4, 5), act)
    loader = make(acts, global_batch=2, shuffle=False, fill_last=False, on_bad=on_bad, workers=workers, start_method="fork")
    found = copied(loader.epoch(0))
    names = [[f"file {index}" for index in part] for part in ([0], [2, 3], [], [6, 7], [8, 9], [10])]
    assert [part for part, _ in found] == names
    assert [arrays.get("count", []) for _, arrays in found] == [[0], [2, 3], [], [6, 7], [8, 9], [10]]
    assert sorted(loader.bad_images) == [1, 4, 5]
    assert caplog.text.count("; it is left out") == 3


def test_an_epoch_is_prepared_while_the_last_one_ends(make: Callable[..., Loader], numbered: ModuleType, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    loader = make(diary=diary, global_batch=11, workers=2, prefetch=1, epochs=2)
    list(loader.epoch(0))
    numbered.wait_for(lambda: numbered.begun(diary, 1) == list(range(11)))  # before the epoch is asked for
    batches = loader.epoch(1)
    assert next(batches).arrays["image"][0, 0, 0] >= 100
    assert numbered.begun(diary, 1) == list(range(11))  # nothing was made a second time


def test_epochs_of_other_sizes_use_the_same_memory(make: Callable[..., Loader]) -> None:
    alone = make(global_batch=3, wide_epochs=(1, 3))
    together = make(global_batch=3, wide_epochs=(1, 3), workers=2, epochs=5)
    for epoch in range(5):
        found = copied(together.epoch(epoch))
        assert found == copied(alone.epoch(epoch))
        assert np.shape(found[0][1]["image"]) == (3, 2, 6 if epoch in (1, 3) else 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_is_raised_when_its_batch_is_due(make: Callable[..., Loader], workers: int) -> None:
    loader = make({9: "broken"}, global_batch=2, shuffle=False, workers=workers)
    batches = loader.epoch(0)
    assert [next(batches).names[0] for _ in range(4)] == ["file 0", "file 2", "file 4", "file 6"]
    with pytest.raises(DataError, match=r"^file 9: broken$"):
        next(batches)
    assert next(loader.epoch(1)).arrays["image"][0, 0, 0] == 100  # it goes on if it is wanted


def test_an_epoch_left_early_is_forgotten(make: Callable[..., Loader]) -> None:
    loader = make(seconds=0.01, global_batch=2, workers=3, epochs=9)
    for _ in loader.epoch(0):
        break
    first = loader.epoch(0)
    next(first)
    assert len(copied(loader.epoch(1))) == 6
    with pytest.raises(RuntimeError, match="another iteration"):
        next(first)


def test_a_batch_stays_valid_until_the_next_is_asked_for_and_after_the_end(
    make: Callable[..., Loader], numbered: ModuleType, tmp_path: Path
) -> None:
    loader = make(diary=tmp_path / "diary", global_batch=2, shuffle=False, workers=2, prefetch=2)
    batch = next(loader.epoch(0))
    numbered.wait_for(lambda: numbered.begun(tmp_path / "diary", 0) == list(range(6)))  # all that is made ahead
    loader.close()
    gc.collect()
    assert batch.arrays["count"].tolist() == [0, 1]


def test_a_closed_loader_starts_again(make: Callable[..., Loader]) -> None:
    loader = make(global_batch=4, shuffle=False, workers=1, start_method="fork")
    first = copied(loader.epoch(0))
    loader.close()
    loader.close()
    assert multiprocessing.active_children() == []
    assert copied(loader.epoch(0)) == first


def test_a_loader_that_nobody_has_any_more_ends_its_workers(numbered: ModuleType) -> None:
    loader = Loader(numbered.Numbered(), global_batch=2, workers=2, start_method="fork")
    next(loader.epoch(0))
    assert len(multiprocessing.active_children()) == 2
    del loader


@pytest.mark.parametrize("workers", [0, 2])
def test_the_time_spent_waiting_is_measured_without_the_trainers(
    make: Callable[..., Loader], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(loader_module, "perf_counter", lambda: now[0])
    loader = make(global_batch=2, workers=workers)
    batches = loader.epoch(0)
    next(batches)
    make_next = Loader._next

    def make_slowly(self: Loader) -> object:
        now[0] += 5.0
        return make_next(self)

    monkeypatch.setattr(Loader, "_next", make_slowly)
    for _ in batches:
        now[0] += 100.0  # the trainer's own time
    assert loader.wait_seconds == 5 * 5.0


@pytest.mark.parametrize("workers", [0, 1])
def test_samples_replaced_and_samples_emptied_are_counted_and_told_once(
    make: Callable[..., Loader], workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    loader = make({3: "skip", 4: "empty", 5: "empty"}, global_batch=11, workers=workers)
    for epoch in (0, 1):
        list(loader.epoch(epoch))
    assert loader.bad_images == {3: "file 3: broken"}
    assert loader.num_emptied == 4
    assert [record.getMessage().split(":")[0] for record in caplog.records if "file 3" in record.getMessage()] == ["file 3"]
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"global_batch": 4, "workers": -1}, "workers=-1"),
        ({"global_batch": 4, "prefetch": 0}, "prefetch=0"),
        ({"global_batch": 4, "sample_seconds": 0.0}, r"sample_seconds=0\.0"),
        ({"global_batch": 12, "drop_last": True}, "11 samples do not fill one global batch of 12"),
        ({"global_batch": 1, "size": 2}, "cannot be shared by 2 processes"),
        ({"global_batch": 4, "workers": 10_000_000}, r"10000000 workers of about .* are free\. Use fewer workers \(data\.workers\)"),
    ],
)
def test_impossible_numbers_are_refused_at_once(make: Callable[..., Loader], arguments: dict[str, int], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        make(**arguments)
