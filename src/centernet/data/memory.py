"""How much memory loading takes, and how much the machine has left."""

from __future__ import annotations

from pathlib import Path

from centernet.errors import ConfigError

# What a worker has for itself: 17 MB as benchmarks/loader_scaling.py measures, 41 MB with "spawn", and room for large images.
WORKER_BYTES = 64 << 20
ROOT = Path("/")


def needed(batch_bytes: int, *, prefetch: int, workers: int, loaders: int = 1) -> int:
    """Bytes that loaders take: 1 + `prefetch` batches and the workers of each; one batch where there are none.

    Args:
        batch_bytes: the arrays of this process's share of a batch.
        prefetch, workers: see `Loader`.
        loaders: how many such loaders, each of another process.
    """
    return loaders * (batch_bytes * (1 + prefetch) + workers * WORKER_BYTES if workers else batch_bytes)


def available(root: Path = ROOT) -> int | None:
    """Bytes that this process and its children can still get: the machine's, or what its control group is left; None if unknown.

    Args:
        root: where `proc` and `sys` are.
    """
    limits = [_machine(root), _group(root, "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
              _group(root, "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")]  # fmt: skip
    return min((limit for limit in limits if limit is not None), default=None)


def check(batch_bytes: int, *, prefetch: int, workers: int, loaders: int = 1, root: Path = ROOT) -> None:
    """ConfigError if loaders take more memory than there is; arguments as for `needed` and `available`."""
    wanted, there = needed(batch_bytes, prefetch=prefetch, workers=workers, loaders=loaders), available(root)
    if there is None or wanted <= there:
        return
    batches = f"{1 + prefetch} batches of {size_text(batch_bytes)}" if workers else f"a batch of {size_text(batch_bytes)}"
    processes = f" and {workers} workers of about {size_text(WORKER_BYTES)} each" if workers else ""
    if workers == 1:
        processes = f" and a worker of about {size_text(WORKER_BYTES)}"
    each = f"for each of {loaders} processes " if loaders > 1 else ""
    raise ConfigError(
        f"loading needs {size_text(wanted)} of memory: {each}{batches}{processes}; {size_text(there)} are free. "
        "Use fewer workers (data.workers), less prefetch (data.prefetch), a smaller batch or a smaller input"
    )


def size_text(num_bytes: int) -> str:
    """`2.0 GB`, `67 MB` or `0.025 MB`: three digits at least where it is little, never rounded to nothing."""
    megabytes = num_bytes / 1e6
    if round(megabytes) >= 1000:
        return f"{num_bytes / 1e9:.1f} GB"
    return f"{megabytes:.0f} MB" if megabytes >= 10 else f"{megabytes:.3g} MB"


def _machine(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _group(root: Path, folder: str, limit_name: str, usage_name: str, reclaimable_name: str) -> int | None:
    """What the control group may still take; file pages it has not used lately do not count."""
    limit, usage = (_number(root / folder / name) for name in (limit_name, usage_name))
    if limit is None or usage is None:
        return None
    for line in _lines(root / folder / "memory.stat"):
        name, _, value = line.partition(" ")
        if name == reclaimable_name:
            usage -= int(value)
    return max(limit - usage, 0)


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None  # "max": no limit


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
