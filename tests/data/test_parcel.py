from __future__ import annotations

import multiprocessing
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from centernet.data.parcel import Parcel

METHODS = ["forkserver", "spawn"]


def told(numbered: ModuleType, parcel: Parcel[Any], start_method: str) -> dict[str, Any]:
    """What another process says of the parcel's value."""
    context = multiprocessing.get_context(start_method)
    ours, theirs = context.Pipe()
    process = context.Process(target=numbered.describe, args=(parcel, theirs))
    process.start()
    theirs.close()
    with ours:
        text: dict[str, Any] = ours.recv()
    process.join(240)
    process.close()
    return text


@pytest.mark.parametrize("start_method", METHODS)
def test_arrays_arrive_read_only_in_shared_memory_for_every_process(numbered: ModuleType, start_method: str) -> None:
    value = {"large": np.arange(1_000_000, dtype=np.float64), "empty": np.zeros((0, 4)), "part": np.arange(10)[::2], "text": "a" * 300_000}
    parcel = Parcel(value)
    for _ in range(2):
        found = told(numbered, parcel, start_method)
        assert found["sums"] == {"large": value["large"].sum(), "empty": 0.0, "part": 20}
        assert found["writeable"]["large"] is False
        assert found["length"] == 300_000
        assert found["private_megabytes"] < 4.0  # of 8, for the array


@pytest.mark.parametrize("start_method", METHODS)
def test_a_value_without_arrays_arrives_too(numbered: ModuleType, start_method: str) -> None:
    assert told(numbered, Parcel({"text": "abc"}), start_method)["length"] == 3


def test_the_fork_server_learns_what_to_load_for_all(numbered: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[str] = []
    monkeypatch.setattr(multiprocessing, "set_forkserver_preload", wanted.extend)
    told(numbered, Parcel({"text": "abc", "source": numbered.Numbered(), "function": numbered.fill}), "spawn")
    assert {"numbered", "centernet.data.worker"} <= set(wanted)
    assert "builtins" not in wanted
