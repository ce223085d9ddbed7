from __future__ import annotations

from pathlib import Path

import pytest

from centernet.data import memory
from centernet.errors import ConfigError

GB = 1_000_000_000


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 99 kB\nMemAvailable:   2000000 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V2 = {
    "sys/fs/cgroup/memory.max": "1000000000\n",
    "sys/fs/cgroup/memory.current": "700000000\n",
    "sys/fs/cgroup/memory.stat": "anon 5\ninactive_file 200000000\n",
}
V1 = {
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "700000000\n",
    "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 100000000\n",
}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 2_048_000_000),
        (V2, 500_000_000),
        (V1, 400_000_000),
        (V2 | {"sys/fs/cgroup/memory.max": "max\n"}, 2_048_000_000),
        (V2 | {"sys/fs/cgroup/memory.max": "9223372036854771712\n"}, 2_048_000_000),
        (V2 | {"sys/fs/cgroup/memory.current": "1500000000\n"}, 0),
    ],
)
def test_what_is_free_is_the_machines_or_the_control_groups(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert memory.available(machine(tmp_path, files)) == expected


def test_what_cannot_be_known_is_no_limit(tmp_path: Path) -> None:
    assert memory.available(tmp_path) is None
    memory.check(10**15, prefetch=2, workers=99, root=tmp_path)


def test_this_machine_has_some() -> None:
    found = memory.available()
    assert found is not None
    assert 10_000_000 < found < 10**15


def test_a_loader_needs_its_batches_and_its_workers() -> None:
    assert memory.needed(100, prefetch=2, workers=3) == 300 + 3 * memory.WORKER_BYTES
    assert memory.needed(100, prefetch=2, workers=0) == 100
    assert memory.needed(100, prefetch=2, workers=3, loaders=4) == 4 * memory.needed(100, prefetch=2, workers=3)


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 MB"), (100, "0.0001 MB"), (24_576, "0.0246 MB"), (9_994_000, "9.99 MB"), (67_108_864, "67 MB"), (999_600_000, "1.0 GB"),
     (2_048_000_000, "2.0 GB"), (10**15, "1000000.0 GB")],
)  # fmt: skip
def test_a_size_is_never_rounded_to_nothing(num_bytes: int, text: str) -> None:
    assert memory.size_text(num_bytes) == text


def test_one_worker_is_one(tmp_path: Path) -> None:
    expected = r"^loading needs 5\.1 GB of memory: 5 batches of 1\.0 GB and a worker of about 67 MB; 2\.0 GB are free\. "
    with pytest.raises(ConfigError, match=expected):
        memory.check(GB, prefetch=4, workers=1, root=machine(tmp_path, {}))
    with pytest.raises(ConfigError, match=r"of memory: 100000 batches of 0\.0246 MB and"):
        memory.check(24_576, prefetch=99_999, workers=1, root=machine(tmp_path, {}))


def test_more_than_there_is_is_refused_in_prose(tmp_path: Path) -> None:
    root = machine(tmp_path, {})
    memory.check(GB, prefetch=1, workers=0, root=root)
    expected = (
        r"^loading needs 3\.3 GB of memory: 3 batches of 1\.0 GB and 4 workers of about 67 MB each; 2\.0 GB are free\. "
        r"Use fewer workers \(data\.workers\), less prefetch \(data\.prefetch\), a smaller batch or a smaller input$"
    )
    with pytest.raises(ConfigError, match=expected):
        memory.check(GB, prefetch=2, workers=4, root=root)
    with pytest.raises(ConfigError, match=r"^loading needs 6\.5 GB of memory: for each of 2 processes 3 batches of 1\.0 GB and"):
        memory.check(GB, prefetch=2, workers=4, loaders=2, root=root)
