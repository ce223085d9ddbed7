"""How the quickstart shares the machine."""

from __future__ import annotations

import pytest

from centernet.cli.quickstart import num_processes


@pytest.mark.parametrize(
    ("num_cores", "global_batch", "count"), [(1, 8, 1), (2, 8, 2), (3, 8, 2), (4, 8, 4), (64, 8, 4), (3, 9, 3), (2, 7, 1), (3, None, 3)]
)
def test_processes_are_as_many_as_cores_and_share_the_batch_evenly(num_cores: int, global_batch: int | None, count: int) -> None:
    assert num_processes(num_cores, global_batch) == count
