from __future__ import annotations

import logging
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from centernet.data import cache
from centernet.data.tables import AnnotationTable


def _table(source: str, num_images: int = 2) -> AnnotationTable:
    return AnnotationTable(
        source=source,
        image_ids=np.arange(num_images),
        image_sizes=np.zeros((num_images, 2), np.int32),
        file_names=[f"{i}é.jpg" for i in range(num_images)],
        image_index=np.array([0], np.int32),
        boxes=np.array([[1.0, 2, 3, 4]]),
        category_of=np.array([0], np.int32),
        areas=np.array([4.0]),
        is_crowd=np.array([True]),
        is_difficult=np.array([False]),
        category_ids=np.array([9]),
        category_names=["a\nb"],
        notes=["careful"],
    )


class Parse:
    """Counts how often it is called."""

    def __init__(self, source: Path) -> None:
        self.source, self.calls = source, 0

    def __call__(self) -> AnnotationTable:
        self.calls += 1
        return _table(str(self.source), len(self.source.read_text()))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    path.write_text("xx")
    return path


def test_the_second_time_nothing_is_parsed_and_everything_is_equal(source: Path) -> None:
    parse = Parse(source)
    first, second = (cache.cached_table(str(source), [source], parse) for _ in range(2))
    assert parse.calls == 1
    assert list(second.file_names) == ["0é.jpg", "1é.jpg"]
    assert list(second.category_names) == ["a\nb"]
    assert list(second.notes) == ["careful"]
    for name, array in first.to_arrays().items():
        other = second.to_arrays()[name]
        np.testing.assert_array_equal(array, other)
        assert array.dtype == other.dtype


def test_a_changed_file_is_parsed_again_and_takes_the_old_one_s_place(source: Path, cache_folder: Path) -> None:
    parse = Parse(source)
    cache.cached_table(str(source), [source], parse)
    source.write_text("xxx")
    assert len(cache.cached_table(str(source), [source], parse).image_ids) == 3
    os.utime(source, ns=(1, 1))
    cache.cached_table(str(source), [source], parse)
    assert parse.calls == 3
    assert len(list(cache_folder.glob("*.npz"))) == 1


def test_files_of_one_name_in_two_folders_do_not_meet(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / source.name
    other.parent.mkdir()
    other.write_text("xxxxx")
    assert len(cache.cached_table(str(source), [source], Parse(source)).image_ids) == 2
    assert len(cache.cached_table(str(other), [other], Parse(other)).image_ids) == 5


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_a_broken_cache_is_made_again(content: bytes, source: Path, cache_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    parse = Parse(source)
    cache.cached_table(str(source), [source], parse)
    (path,) = cache_folder.glob("*.npz")
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert len(cache.cached_table(str(source), [source], parse).image_ids) == 2
    assert parse.calls == 2
    assert str(path) in caplog.text
    cache.cached_table(str(source), [source], parse)
    assert parse.calls == 2


def test_without_a_place_for_the_cache_the_file_is_parsed_each_time(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    parse = Parse(source)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert len(cache.cached_table(str(source), [source], parse).image_ids) == 2
    assert parse.calls == 2
    assert "cannot be kept" in caplog.text


def test_a_full_disk_costs_only_the_cache(
    source: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert len(cache.cached_table(str(source), [source], Parse(source)).image_ids) == 2
    assert "No space left" in caplog.text
    assert [path.suffix for path in cache_folder.iterdir()] == [".lock"]


def _read(source: Path, counter: Path, barrier: multiprocessing.synchronize.Barrier) -> None:
    def parse() -> AnnotationTable:
        with counter.open("a") as file:
            file.write("parsed\n")
        return _table(str(source))

    barrier.wait()
    cache.cached_table(str(source), [source], parse)


def test_of_several_processes_one_parses(source: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_read, args=(source, tmp_path / "count", barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "count").read_text() == "parsed\n"
