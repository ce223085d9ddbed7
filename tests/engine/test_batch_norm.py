"""Batch normalisation over all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from centernet.engine.batch_norm import synchronised
from centernet.engine.communicator import Single


def test_one_process_has_nothing_to_synchronise() -> None:
    assert synchronised(Single()) is None


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_forward_backward_and_running_statistics_are_those_of_the_whole_batch(mpirun: Callable[..., Any], processes: int) -> None:
    ended = mpirun(processes, "batch_norm.py")
    assert (ended.returncode, ended.stdout) == (0, "equal\n"), ended.stderr
