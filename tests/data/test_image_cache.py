from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic.dataclasses import dataclass as config_dataclass

from centernet import config as configuration
from centernet.data import brief_lock, memory
from centernet.data.augment import AugmentConfig
from centernet.data.brief_lock import briefly_locked
from centernet.data.coco_json import read_coco_json
from centernet.data.datasets.base import assemble
from centernet.data.image_cache import CacheConfig, CachedImages, CacheSection, ImageCache, check_budget, default_folder, open_cache
from centernet.data.images import ImageFiles
from centernet.data.loader import Loader
from centernet.data.memory_file import MemoryFile
from centernet.data.pipeline import Pipeline
from centernet.data.ram_images import RamStore, record_bytes, table_bytes
from centernet.errors import STRICT, ConfigError, DataError, OutputError
from centernet.geometry.gaussian import gaussian_radius
from centernet.imaging import io
from centernet.structures import Grid, Normalization
from centernet.tasks.ctdet.targets import encode_centers

PROGRAM = Path(__file__).parent / "programs" / "cache_users.py"
KINDS = pytest.mark.parametrize("kind", ["ram", "disk"])
FORMS = pytest.mark.parametrize("form", ["encoded", "decoded"])
NUM_IMAGES = 6
PATIENCE = 240.0  # seconds with a slow machine
encode = partial(encode_centers, num_classes=2, max_objects=8, radius=gaussian_radius, min_overlap=0.7)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Six images of 60x80 noise, a file each."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / "images" / f"{number}.png" for number in range(NUM_IMAGES)]
    for path in paths:
        io.write_image(path, rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    return paths


def opened(kind: Any, form: Any = "encoded", *, budget: int = 1_000_000, num_images: int = NUM_IMAGES) -> ImageCache:
    cache = open_cache(CacheConfig(kind=kind, form=form, budget=budget), num_images)
    assert cache is not None
    return cache


def pixels(images: CachedImages, paths: list[Path]) -> list[np.ndarray]:
    return [images.picture(index, path).decode() for index, path in enumerate(paths)]


def run(*arguments: object) -> Any:
    """What a role of the program prints; its exit code if it was killed."""
    done = subprocess.run([sys.executable, str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return json.loads(done.stdout) if done.stdout else done.returncode


def fail_to_read(path: Path) -> io.EncodedImage:
    raise AssertionError(f"{path} was read again")


@KINDS
@FORMS
def test_kept_images_are_the_same_and_no_file_is_read_again(
    kind: str, form: str, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = opened(kind, form)
    images = cache.images()
    expected = [ImageFiles().picture(0, path).decode() for path in paths]
    np.testing.assert_array_equal(pixels(images, paths), expected)
    monkeypatch.setattr(io, "read_encoded", fail_to_read)
    np.testing.assert_array_equal(pixels(images, paths), expected)
    assert images.picture(0, paths[0]).size == (60, 80)
    usage = cache.usage()
    assert (usage.hits, usage.misses, usage.filling.num_images) == (NUM_IMAGES + 1, NUM_IMAGES, NUM_IMAGES)
    assert f"{NUM_IMAGES} images kept" in str(usage)
    assert "53.8 % of 13 reads" in str(usage)


def test_decoded_images_are_whole_and_read_only_whether_kept_or_not(paths: list[Path]) -> None:
    images = opened("ram", "decoded", budget=table_bytes(NUM_IMAGES) + record_bytes(60 * 80 * 3)).images()
    for _ in range(2):
        assert [images.picture(i, path).decode(4).shape for i, path in enumerate(paths)] == [(60, 80, 3)] * NUM_IMAGES
    assert images.cache.usage().hits == 1
    with pytest.raises(ValueError, match="read-only"):
        images.picture(0, paths[0]).decode()[0, 0] = 0


@KINDS
@FORMS
def test_an_image_file_that_changed_is_read_again(kind: str, form: str, paths: list[Path]) -> None:
    images = opened(kind, form).images()
    pixels(images, paths)
    status = paths[0].stat()
    other = np.full((60, 80, 3), 7, np.uint8)
    io.write_image(paths[0], other)
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    for _ in range(2):
        np.testing.assert_array_equal(images.picture(0, paths[0]).decode(), other)
    assert images.cache.usage().hits == 1


@KINDS
@FORMS
def test_errors_are_those_of_a_run_without_cache(kind: str, form: str, tmp_path: Path) -> None:
    images = opened(kind, form).images()
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\nabc")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name in ("cut.png", "empty.jpg", "missing.jpg", ""):
        for _ in range(2):
            with pytest.raises(DataError) as plain:
                ImageFiles().picture(0, tmp_path / name).decode()
            with pytest.raises(DataError) as cached:
                images.picture(0, tmp_path / name).decode()
            assert str(cached.value) == str(plain.value)


@KINDS
def test_a_suffix_in_other_letters_is_found(kind: str, paths: list[Path]) -> None:
    images = opened(kind).images()
    paths[0].rename(paths[0].with_suffix(".PNG"))
    for _ in range(2):
        assert images.picture(0, paths[0]).decode().shape == (60, 80, 3)
    assert images.cache.usage().hits == 1


@KINDS
def test_two_data_sets_share_one_cache_without_mixing_their_images(kind: str, paths: list[Path]) -> None:
    cache = opened(kind)
    training, validation = cache.images(), cache.images(first=4)
    for _ in range(2):
        np.testing.assert_array_equal(pixels(training, paths[:4]), [io.read_image(path) for path in paths[:4]])
        np.testing.assert_array_equal(pixels(validation, paths[4:]), [io.read_image(path) for path in paths[4:]])
    assert cache.usage().hits == NUM_IMAGES
    assert cache.usage().filling.num_images == NUM_IMAGES
    np.testing.assert_array_equal(cache.images(first=1).picture(0, paths[0]).decode(), io.read_image(paths[0]))  # not image 1


def test_memory_is_kept_within_the_budget_first_come_first_kept(paths: list[Path]) -> None:
    sizes = [record_bytes(path.stat().st_size) for path in paths]
    budget = table_bytes(NUM_IMAGES) + sum(sizes[:4]) + 100
    images = opened("ram", budget=budget).images()
    for _ in range(3):
        np.testing.assert_array_equal(pixels(images, paths), [io.read_image(path) for path in paths])
    usage = images.cache.usage()
    assert (usage.filling.num_images, usage.hits, usage.filling.budget) == (4, 8, budget)
    assert usage.filling.num_bytes == budget - 100


@KINDS
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_any_start_method_share_images_and_counts(kind: str, method: str, paths: list[Path]) -> None:
    config = json.dumps({"kind": kind, "form": "decoded", "budget": 1_000_000})
    result = run("start", method, config, paths[0].parent)
    assert result["seen"] == [[hashlib.sha256(io.read_image(path).tobytes()).hexdigest() for path in paths]] * 2
    assert (result["hits"], result["misses"]) == (NUM_IMAGES // 2 + NUM_IMAGES, NUM_IMAGES // 2)


@KINDS
def test_an_unrelated_process_attaches_by_the_handle(kind: str, paths: list[Path]) -> None:
    cache = opened(kind, "decoded")
    pixels(cache.images(), paths[:-1])
    result = run("read", cache.handle(), paths[0].parent)
    assert (result["hits"], result["misses"]) == (NUM_IMAGES - 1, NUM_IMAGES)
    assert (cache.usage().hits, cache.usage().misses) == (NUM_IMAGES - 1, NUM_IMAGES)
    cache.images().picture(NUM_IMAGES - 1, paths[-1])
    assert cache.usage().hits == NUM_IMAGES


@KINDS
def test_a_handle_of_a_cache_that_is_gone_is_an_error_with_a_cure(kind: str) -> None:
    handle = opened(kind).handle()
    with pytest.raises(ConfigError, match=r"data\.cache: .* cannot share it: .* data\.cache: none"):
        ImageCache.attach(handle)


@KINDS
def test_one_pickle_serves_several_processes_and_threads(kind: str, paths: list[Path]) -> None:
    cache = opened(kind)
    data = pickle.dumps(cache.images())
    assert len(data) < 1000
    copies = [pickle.loads(data) for _ in range(4)]
    threads = [threading.Thread(target=pixels, args=(copy, paths)) for copy in copies for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pixels(copies[0], paths)  # keeps what nobody had the lock for
    filling = cache.usage().filling
    assert filling.num_images == NUM_IMAGES
    if kind == "ram":  # each image once, though eight threads came with it at a time
        assert filling.num_bytes == table_bytes(NUM_IMAGES) + sum(record_bytes(path.stat().st_size) for path in paths)


def test_an_image_that_another_thread_is_writing_takes_no_second_space(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    cache = opened("ram")
    write, others_wrote = MemoryFile.write, []

    def write_while_another_comes(memory: MemoryFile, parts: list[bytes | memoryview], start: int) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(MemoryFile, "write", lambda *arguments: others_wrote.append(arguments))
            np.testing.assert_array_equal(cache.images().picture(0, paths[0]).decode(), io.read_image(paths[0]))
        return write(memory, parts, start)

    monkeypatch.setattr(MemoryFile, "write", write_while_another_comes)
    np.testing.assert_array_equal(cache.images().picture(0, paths[0]).decode(), io.read_image(paths[0]))
    assert not others_wrote
    assert cache.usage().filling.num_bytes == table_bytes(NUM_IMAGES) + record_bytes(paths[0].stat().st_size)


def test_a_write_that_fails_leaves_the_image_to_the_next(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    cache = opened("ram")
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFile, "write", lambda *arguments: False)
        cache.images().picture(0, paths[0]).decode()
    assert cache.usage().filling.num_images == 0
    cache.images().picture(0, paths[0]).decode()
    assert cache.usage().filling.num_images == 1


@KINDS
def test_all_processes_together_say_once_that_no_more_images_can_be_kept(
    kind: str, paths: list[Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> bool:
        raise OSError(28, "No space left on device")

    cache = opened(kind)
    workers = [pickle.loads(pickle.dumps(cache.images())) for _ in range(2)]
    workers.append(ImageCache.attach(cache.handle()).images())
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFile, "write", fail)
        patch.setattr(os, "replace", fail)
        for worker in workers:
            np.testing.assert_array_equal(pixels(worker, paths), [io.read_image(path) for path in paths])
    assert caplog.text.count("no more images are kept") == 1
    pixels(workers[2], paths)
    assert cache.usage().filling.num_images == 0  # nobody tries again


@KINDS
@pytest.mark.parametrize("where", ["locked", "writing"])
def test_a_process_killed_while_it_inserts_neither_damages_nor_blocks(kind: str, where: str, paths: list[Path]) -> None:
    cache = opened(kind)
    images = cache.images()
    assert run("die", where, cache.handle(), paths[0]) == -signal.SIGKILL
    assert cache.usage().filling.num_images == 0
    began = time.monotonic()
    for _ in range(2):
        np.testing.assert_array_equal(pixels(images, paths), [io.read_image(path) for path in paths])
    assert time.monotonic() - began < PATIENCE
    assert cache.usage().filling.num_images == NUM_IMAGES
    assert cache.usage().hits == NUM_IMAGES


@KINDS
def test_an_image_is_not_kept_rather_than_waited_for(kind: str, paths: list[Path]) -> None:
    cache = opened(kind)
    lock = cache.store.memory.locked() if isinstance(cache.store, RamStore) else briefly_locked(default_folder() / "usage")
    with lock as is_locked:
        assert is_locked
        assert cache.images().picture(0, paths[0]).decode().shape == (60, 80, 3)
    assert cache.usage().filling.num_images == 0
    cache.images().picture(0, paths[0])
    assert cache.usage().filling.num_images == 1


@KINDS
@FORMS
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_with_and_without_a_cache(
    kind: str, form: str, workers: int, coco_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brief_lock, "PATIENCE", PATIENCE)  # in the forks too, so that the counts are exact on a busy machine
    dataset = assemble(
        read_coco_json(coco_root / "annotations.json"),
        split="train",
        classes=None,
        image_folder=coco_root / "images",
        normalization=Normalization((0.4, 0.4, 0.4), (0.3, 0.3, 0.3)),
    )
    cache = opened(kind, form, num_images=len(dataset))
    batches = []
    for images in (dataset.images, cache.images()):
        pipeline = Pipeline(replace(dataset, images=images), Grid(64, 64), encode, augment=AugmentConfig())
        with Loader(pipeline, global_batch=2, workers=workers, start_method="fork") as loader:
            batches.append([{n: a.copy() for n, a in batch.arrays.items()} for epoch in range(3) for batch in loader.epoch(epoch)])
    for plain, cached in zip(*batches, strict=True):
        assert plain.keys() == cached.keys()
        for name, array in plain.items():
            np.testing.assert_array_equal(cached[name], array)
    assert (cache.usage().hits, cache.usage().misses) == (4, 2)


def test_many_processes_killed_at_random_leave_only_whole_images() -> None:
    result = run("storm", 40, 1000, PATIENCE)
    assert result.pop("killed") > 20
    assert result.pop("kept") > 100
    assert result == {"wrong": [], "overlaps": 0, "is_locked": True, "is_within_budget": True}


def test_nothing_is_left_when_the_processes_are_killed(paths: list[Path], tmp_path: Path) -> None:
    before = set(os.listdir("/dev/shm"))
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    program = subprocess.Popen([sys.executable, str(PROGRAM), "hold", str(paths[0].parent)], stdout=subprocess.PIPE, env=environment)
    assert program.stdout is not None
    with program.stdout:
        held = json.loads(program.stdout.readline())
    ImageCache.attach(held["handle"])
    os.kill(held["pids"][1], signal.SIGKILL)
    program.kill()
    program.wait()
    with pytest.raises(ConfigError):
        ImageCache.attach(held["handle"])
    assert not {name for name in set(os.listdir("/dev/shm")) - before if "centernet" in name}
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8GB", 8 * 10**9), ("1.5 TiB", 3 * 2**39), ("500mb", 5 * 10**8), ("1000", 1000), (4096, 4096), (5e9, 5 * 10**9), ("auto", "auto")],
)
def test_a_budget_is_a_size_in_words_or_a_number(text: object, expected: object) -> None:
    assert configuration.validate(CacheConfig, {"kind": "ram", "budget": text}, source="a").budget == expected


@pytest.mark.parametrize("text", ["8XB", "GB", "-1GB", "", 0, -5, True, [1], None, "0.1"])
def test_a_budget_that_is_none_is_explained(text: object) -> None:
    with pytest.raises(ConfigError, match=r"a.yaml: budget: found .*, expected a size such as 8GB"):
        configuration.validate(CacheConfig, {"kind": "ram", "budget": text}, source="a.yaml")


@config_dataclass(frozen=True, kw_only=True, config=STRICT)
class Data:
    """A section that holds one for the cache."""

    cache: CacheSection = CacheConfig()


@pytest.mark.parametrize(("short", "kind"), [("ram", "ram"), ("disk", "disk"), ("none", "none"), (None, "none"), ({"kind": "ram"}, "ram")])
def test_the_kind_alone_is_enough(short: object, kind: str) -> None:
    config = configuration.validate(Data, {"cache": short}, source="a")
    assert config.cache == CacheConfig(kind=kind)  # type: ignore[arg-type]
    assert configuration.validate(Data, configuration.to_tree(config), source="a") == config


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("rma", "cache.kind: found 'rma' .*expected 'none', 'ram' or 'disk'"),
        (False, "cache: found False, expected none, ram, disk"),
        ({"kind": "ram", "bugdet": 1}, "cache.bugdet: unknown key; did you mean 'budget'"),
        ({"kind": "ram", "folder": "/x"}, "cache: folder is for kind: disk"),
        ({"kind": "ram", "budget": "lots"}, "cache.budget: found 'lots', expected a size"),
        ({"form": "raw"}, "cache.form: found 'raw'"),
    ],
)
def test_a_wrong_section_is_explained_with_its_path(section: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configuration.validate(Data, {"cache": section}, source="a.yaml")


def test_no_cache_is_none() -> None:
    assert open_cache(CacheConfig(), 5) is None


@KINDS
@FORMS
def test_a_budget_that_cannot_hold_one_batch_is_refused(kind: Any, form: Any, paths: list[Path], tmp_path: Path) -> None:
    config = CacheConfig(kind=kind, form=form, budget=20_000)
    batch = [*paths[:3], tmp_path / "missing.png"]
    with pytest.raises(ConfigError, match=r"data.cache.budget: 0.02 MB cannot hold one batch: its 4 images take 0.04\d+ MB"):
        open_cache(config, NUM_IMAGES, batch=batch)
    assert open_cache(config, NUM_IMAGES, batch=paths[:1]) is not None
    with pytest.raises(ConfigError, match="cannot hold one batch"):
        open_cache(CacheConfig(kind="ram", budget=100), NUM_IMAGES)  # not even the table


def test_a_budget_of_just_one_batch_is_enough() -> None:
    check_budget(1000, batch_bytes=1000, num_images=2)
    with pytest.raises(ConfigError):
        check_budget(1000, batch_bytes=1001, num_images=2)
    with pytest.raises(ConfigError, match=r"0\.001 MB cannot hold one batch: its image takes 0\.0011 MB"):
        check_budget(1000, batch_bytes=1100, num_images=1)


@KINDS
def test_a_budget_above_what_is_free_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"data.cache.budget: found 1000000.0 GB, expected at most what is free in .*: \d"):
        open_cache(CacheConfig(kind=kind, budget=10**15), 5)


def test_half_of_the_free_memory_is_taken_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 2_000_000)
    cache = open_cache(CacheConfig(kind="ram"), 5)
    assert cache is not None
    assert cache.usage().filling.budget == 1_000_000
    monkeypatch.setattr(memory, "available", lambda: None)
    with pytest.raises(ConfigError, match="give a size, such as 8GB"):
        open_cache(CacheConfig(kind="ram"), 5)


def test_the_default_folder_is_in_the_cache_of_the_user(cache_folder: Path) -> None:
    assert default_folder() == cache_folder / "images"


def test_a_folder_that_cannot_be_made_is_an_error_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"data.cache.folder: .*file/x: cannot be written to"):
        open_cache(CacheConfig(kind="disk", folder=str(tmp_path / "file" / "x")), 5)
