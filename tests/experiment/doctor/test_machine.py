"""Cores, memory and disk, as the machine or its container has them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from centernet.experiment.doctor import machine


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_cores_are_those_a_container_is_granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert machine.cores(tmp_path).found == "8, 16 in the machine"
    write(tmp_path, "sys/fs/cgroup/cpu.max", "max 100000\n")
    assert machine.cores(tmp_path).status == "ok"
    write(tmp_path, "sys/fs/cgroup/cpu.max", "250000 100000\n")
    found = machine.cores(tmp_path)
    assert (found.status, found.found) == ("warning", "8, 16 in the machine, the container is granted 2.5")
    assert found.cure.startswith("export OMP_NUM_THREADS=2 ")


def test_the_old_kind_of_control_group_is_read_too(tmp_path: Path) -> None:
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n")
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert machine.granted_cores(tmp_path) == 1.5
    write(tmp_path, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    assert machine.granted_cores(tmp_path) is None


@pytest.mark.parametrize(("kilobytes", "status"), [(500_000, "broken"), (2_000_000, "warning"), (9_000_000, "ok")])
def test_memory_is_what_is_left(tmp_path: Path, kilobytes: int, status: str) -> None:
    write(tmp_path, "proc/meminfo", f"MemAvailable: {kilobytes} kB\n")
    found = machine.free_memory(tmp_path)
    assert found.status == status
    assert bool(found.cure) == (status != "ok")


def test_memory_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert machine.free_memory(tmp_path).status == "warning"


@pytest.mark.parametrize(("free", "status"), [(10**8, "broken"), (10**9, "warning"), (10**10, "ok")])
def test_disk_is_judged_by_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: str) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    (found,) = machine.disk({"cache": tmp_path / "not" / "yet"})
    assert (found.name, found.status) == ("disk, cache", status)
    assert machine.shared_memory(8, tmp_path).status == ("warning" if free < 8 << 24 else "ok")


def test_a_folder_that_is_not_writable_has_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *arguments: False)
    found = machine.disk({"this folder": tmp_path, "cache": tmp_path})
    assert [one.status for one in found] == ["warning", "warning"]
    assert found[1].cure == "export XDG_CACHE_HOME=/path/to/a/folder"


def test_shared_memory_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert machine.shared_memory(2, tmp_path / "none").found == f"{tmp_path / 'none'} cannot be used"
