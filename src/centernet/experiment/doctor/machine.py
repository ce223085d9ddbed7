"""What the machine, or the container, has left: cores, memory, shared memory and disk."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from centernet.data import memory
from centernet.data.cache import cache_folder
from centernet.data.memory import size_text
from centernet.experiment.doctor.findings import Finding, Status

ROOT = Path("/")
LITTLE_MEMORY, ENOUGH_MEMORY = 1_000_000_000, 4_000_000_000  # for the quickstart; for ResNet-18 at 512x512
LITTLE_DISK, ENOUGH_DISK = 200_000_000, 2_000_000_000  # one checkpoint of a large network; a training's
SHARED_EACH = 16 << 20  # what Open MPI puts into /dev/shm for each process


def cores(root: Path = ROOT) -> Finding:
    """Those that this process may use: its affinity, and what its control group is granted."""
    allowed, there, quota = len(os.sched_getaffinity(0)), os.cpu_count() or 1, granted_cores(root)
    usable = min(allowed, quota) if quota is not None else float(allowed)
    limits = [f"{there} in the machine"] if allowed < there else []
    limits += [f"the container is granted {quota:g}"] if quota is not None and quota < allowed else []
    is_cut = quota is not None and quota < allowed
    return Finding(
        name="cores",
        status="warning" if usable < 2 or is_cut else "ok",
        found=", ".join([f"{allowed}", *limits]),
        needed="2 or more: one process each trains, and one reads images",
        cure=f"export OMP_NUM_THREADS={max(1, int(usable))}    # or give the container more: docker run --cpus N" if is_cut else "",
    )


def granted_cores(root: Path = ROOT) -> float | None:
    """How many cores' time the control group may use; None where it has no limit, or none can be read."""
    group = root / "sys/fs/cgroup"
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = " ".join((group / name).read_text() for name in names).split()
        except OSError:
            continue
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):
            return int(words[0]) / int(words[1])
    return None


def free_memory(root: Path = ROOT) -> Finding:
    """What this process and those it starts can still get."""
    free = memory.available(root)
    if free is None:
        return Finding(name="memory", status="warning", found="cannot be read", needed=f"{size_text(ENOUGH_MEMORY)} free")
    status: Status = "broken" if free < LITTLE_MEMORY else "warning" if free < ENOUGH_MEMORY else "ok"
    return Finding(
        name="memory",
        status=status,
        found=f"{size_text(free)} free",
        needed=f"{size_text(ENOUGH_MEMORY)} free to train at 512x512, {size_text(LITTLE_MEMORY)} for the quickstart",
        cure="" if status == "ok" else "ps -eo pid,rss,comm --sort=-rss | head    # who has it; containers: docker run --memory 8g",
    )


def shared_memory(num_processes: int, folder: Path = ROOT / "dev/shm") -> Finding:
    """Room for the processes of a training to talk in; containers often have 64 MB."""
    needed = num_processes * SHARED_EACH
    free = _free(folder)
    enough = free is not None and free >= needed
    return Finding(
        name="shared memory",
        status="ok" if enough else "warning",
        found=f"{size_text(free)} free in {folder}" if free is not None else f"{folder} cannot be used",
        needed=f"{size_text(needed)} for {num_processes} processes" if num_processes > 1 else size_text(needed),
        cure="" if enough else "docker run --shm-size=1g ...    # or remove what a killed mpirun left: rm /dev/shm/sm_segment.*",
    )


def disk(folders: Mapping[str, Path] | None = None) -> list[Finding]:
    """Room and the right to write where results, temporary files and the cache go; `folders`: by name, default those."""
    here = {"this folder": Path.cwd(), "temporary files": Path(tempfile.gettempdir()), "cache": cache_folder()}
    return [_room(name, folder) for name, folder in (here if folders is None else folders).items()]


def _room(name: str, folder: Path) -> Finding:
    there = next((path for path in (folder, *folder.parents) if path.exists()), ROOT)
    free, is_writable = _free(there) or 0, os.access(there, os.W_OK | os.X_OK)
    status: Status = "broken" if free < LITTLE_DISK else "warning" if free < ENOUGH_DISK or not is_writable else "ok"
    if is_writable:
        cure = f"du -xh --max-depth=2 {shlex.quote(str(there))} | sort -h | tail    # what fills it"
    elif name in _VARIABLES:
        cure = f"export {_VARIABLES[name]}=/path/to/a/folder"
    else:
        cure = "cd /path/to/a/folder    # or give every command -o FOLDER"
    return Finding(
        name=f"disk, {name}",
        status=status,
        found=f"{size_text(free)} free in {folder}{'' if is_writable else ', not writable'}",
        needed=f"{size_text(ENOUGH_DISK)} free, writable",
        cure="" if status == "ok" else cure,
    )


_VARIABLES = {"temporary files": "TMPDIR", "cache": "XDG_CACHE_HOME"}


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def examine(root: Path = ROOT) -> Sequence[Finding]:
    """All of it."""
    return [cores(root), free_memory(root), shared_memory(min(len(os.sched_getaffinity(0)), 8)), *disk()]
