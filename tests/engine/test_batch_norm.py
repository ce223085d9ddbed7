"""Batch normalisation over all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nnabla as nn
import pytest

from centernet.engine import batch_norm
from centernet.engine.batch_norm import synchronised
from centernet.engine.communicator import Single


def test_one_process_has_nothing_to_synchronise() -> None:
    assert synchronised(Single()) is None


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_forward_backward_and_running_statistics_are_those_of_the_whole_batch(mpirun: Callable[..., Any], processes: int) -> None:
    ended = mpirun(processes, "batch_norm.py")
    assert (ended.returncode, ended.stdout) == (0, "equal\n"), ended.stderr


@pytest.mark.parametrize("backends", [["cudnn:half", "cudnn:float", "cuda:half", "cuda:float", "cpu:float"], ["cuda:half", "cpu:float"]])
def test_on_gpus_it_is_computed_in_float32_whatever_the_networks_type(monkeypatch: pytest.MonkeyPatch, backends: list[str]) -> None:
    asked: list[tuple[list[str], str]] = []

    def nnablas(*_: object, **__: object) -> None:
        context = nn.get_current_context()
        asked.append((list(context.backend), context.device_id))

    monkeypatch.setattr(batch_norm.F, "sync_batch_normalization", nnablas)
    normalise = batch_norm._on_gpus(object())
    with nn.context_scope(nn.Context(backends, "CudaCachedArray", "1")):
        normalise(*[nn.Variable((1, 2, 1, 1))] * 5, axis=1, decay=0.9, epsilon=1e-5)
    ((found, device),) = asked
    assert found
    assert all(backend.endswith(":float") for backend in found)
    assert found[0] == backends[0].replace("half", "float")
    assert device == "1"
