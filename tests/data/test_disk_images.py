from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from centernet.data.disk_images import DiskStore, entry_bytes
from centernet.data.image_store import Kept, Origin

PROGRAM = Path(__file__).parent / "programs" / "cache_users.py"
DAY = 86400


def image(num_bytes: int = 100, value: int = 1) -> Kept:
    return Kept(memoryview(bytes([value]) * num_bytes), (5, 7))


def origin(name: str, *, modified: int = 3) -> Origin:
    return Origin(name.encode(), 50, modified)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "usage")


def num_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in files(folder))


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore.open(tmp_path / "cache", 10_000, "decoded")


def test_a_later_run_finds_what_an_earlier_one_kept(store: DiskStore) -> None:
    assert store.put(0, origin("/d/a.jpg"), image())
    later = DiskStore.open(store.folder, 10_000, "decoded")
    for opened in (store, later, pickle.loads(pickle.dumps(store)), DiskStore.attach(store.handle())):
        kept = opened.get(99, origin("/d/a.jpg"))
        assert kept is not None
        assert (bytes(kept.data), kept.size) == (bytes(image().data), (5, 7))
        assert opened.filling() == store.filling()
    assert (later.filling().num_images, later.filling().num_bytes) == (1, entry_bytes(100))


def test_another_form_of_the_same_image_is_another_entry(store: DiskStore) -> None:
    store.put(0, origin("/d/a.jpg"), image())
    other = DiskStore.open(store.folder, 10_000, "encoded")
    assert other.get(0, origin("/d/a.jpg")) is None
    assert other.put(0, origin("/d/a.jpg"), image(value=2))
    assert bytes(store.get(0, origin("/d/a.jpg")).data) == bytes(image().data)  # type: ignore[union-attr]


def test_a_changed_file_takes_the_place_of_the_old_one(store: DiskStore) -> None:
    store.put(0, origin("/d/a.jpg"), image(500))
    assert store.get(0, origin("/d/a.jpg", modified=4)) is None
    assert store.put(0, origin("/d/a.jpg", modified=4), image(100))
    assert store.get(0, origin("/d/a.jpg", modified=3)) is None
    assert store.filling().num_bytes == num_bytes(store.folder) == entry_bytes(100)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_entry_is_made_anew(store: DiskStore, damage: str) -> None:
    store.put(0, origin("/d/a.jpg"), image())
    (path,) = files(store.folder)
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-1], "flipped": data[:-1] + b"\0", "empty": b"", "foreign": b"something else" * 20}[damage])
    assert store.get(0, origin("/d/a.jpg")) is None
    assert store.put(0, origin("/d/a.jpg"), image())
    assert store.get(0, origin("/d/a.jpg")) is not None
    assert num_bytes(store.folder) == entry_bytes(100)


def test_the_budget_holds_over_several_runs(store: DiskStore) -> None:
    for run in range(3):
        again = DiskStore.open(store.folder, 10_000, "decoded")
        results = [again.put(0, origin(f"/d/{run}-{number}.jpg"), image(3000)) for number in range(5)]
        assert results == [run == 0 and number < 3 for number in range(5)]
        assert num_bytes(store.folder) == again.filling().num_bytes <= 10_000


def test_processes_side_by_side_keep_to_the_budget_together(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "crowd", str(tmp_path / "c"), "200000"], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["kept"] > 50
    assert num_bytes(tmp_path / "c") <= result["noted"] <= 200_000
    abandoned = [path for path in files(tmp_path / "c") if path.suffix == ".partial"]
    assert len(abandoned) <= 2
    for path in abandoned:
        os.utime(path, (0, 0))
    assert DiskStore.open(tmp_path / "c", 200_000, "encoded").filling().num_bytes == num_bytes(tmp_path / "c")
    assert not [path for path in files(tmp_path / "c") if path.suffix == ".partial"]


def test_images_that_nobody_used_for_a_day_make_room_and_others_do_not(store: DiskStore, caplog: pytest.LogCaptureFixture) -> None:
    for folder, age in (("old", 3 * DAY), ("older", 4 * DAY), ("recent", 0.5 * DAY)):
        store.put(0, origin(f"/{folder}/a.jpg"), image(3000))
        (group,) = store.folder.glob(f"{folder}-*")
        os.utime(group, (time.time() - age,) * 2)
    later = DiskStore.open(store.folder, 10_000, "decoded")
    with caplog.at_level(logging.INFO):
        assert later.put(0, origin("/new/a.jpg"), image(3000))
    assert [text.partition("older-")[1] for text in caplog.messages] == ["older-"]
    assert later.put(0, origin("/new/b.jpg"), image(3000))
    assert not later.put(0, origin("/new/c.jpg"), image(3000))
    assert sorted(path.name.partition("-")[0] for path in store.folder.iterdir()) == ["new", "recent", "usage"]
    assert later.filling().num_bytes == num_bytes(store.folder) == 3 * entry_bytes(3000)


def test_reading_marks_images_as_used(store: DiskStore) -> None:
    store.put(0, origin("/d/a.jpg"), image())
    (group,) = store.folder.glob("d-*")
    os.utime(group, (0, 0))
    later = DiskStore.open(store.folder, 10_000, "decoded")
    began = time.time()
    later.get(0, origin("/d/a.jpg"))
    assert group.stat().st_mtime > began - 60


def test_files_removed_by_hand_and_a_broken_count_are_counted_anew(store: DiskStore) -> None:
    store.put(0, origin("/d/a.jpg"), image(9000))
    files(store.folder)[0].unlink()
    assert DiskStore.open(store.folder, 10_000, "decoded").filling().num_bytes == 0
    store.put(0, origin("/d/a.jpg"), image(200))
    (store.folder / "usage").write_text("")
    assert store.filling().num_bytes == entry_bytes(200)


def test_a_folder_that_vanishes_costs_a_warning_and_no_run(store: DiskStore, caplog: pytest.LogCaptureFixture) -> None:
    store.put(0, origin("/d/a.jpg"), image())
    shutil.rmtree(store.folder)
    assert store.get(0, origin("/d/a.jpg")) is None
    for _ in range(2):
        assert not store.put(0, origin("/d/a.jpg"), image())
    assert len(caplog.messages) == 1
    assert "no more images are kept" in caplog.messages[0]


def test_what_is_kept_can_be_counted_while_folders_vanish(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(0, origin("/d/a.jpg"), image())
    listed = os.scandir(store.folder)
    monkeypatch.setattr(os, "scandir", lambda folder: listed if folder == store.folder else iter_of_a_lost_folder(folder))
    assert store.filling().num_images == 0
    monkeypatch.undo()
    shutil.rmtree(store.folder)
    assert (store.filling().num_images, store.filling().num_bytes) == (0, 0)


def iter_of_a_lost_folder(folder: Path) -> None:
    raise FileNotFoundError(folder)


def test_relative_paths_and_names_of_any_kind_are_told_apart(store: DiskStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    store.put(0, origin("a.jpg"), image(value=3))
    assert store.get(0, origin(f"{tmp_path}/a.jpg")) is not None
    assert store.get(0, origin(f"{tmp_path}/b/../a.jpg")) is not None
    assert store.get(0, origin("/elsewhere/a.jpg")) is None
    odd = Origin(b"/x/\xff\xfe \n.jpg", 50, 3)
    assert store.put(0, odd, image())
    assert store.get(0, odd) is not None
