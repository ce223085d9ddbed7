from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from centernet.errors import DeviceError
from centernet.experiment import accuracy
from centernet.experiment.accuracy import RuntimePrecision
from centernet.experiment.detector import Options
from centernet.experiment.inference_graph import Machine

MACHINES = [
    Machine(runtime="openvino", precision="bfloat16"),
    Machine(runtime="openvino"),
    Machine(runtime="onnxruntime", precision="float32"),
]


def opened(monkeypatch: pytest.MonkeyPatch, *, lacking: tuple[Machine, ...]) -> list[Any]:
    def load(path: Path, *, machine: Machine, options: Options) -> Any:
        if machine in lacking:
            raise DeviceError("no such thing here")
        return SimpleNamespace(machine=machine)

    monkeypatch.setattr(accuracy.model_files, "load", load)
    return list(accuracy._opened(Path("a.onnx"), MACHINES, Options()))


def test_the_first_machine_that_can_run_the_file_is_the_one_it_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = opened(monkeypatch, lacking=(MACHINES[0],))
    assert [one.machine for one in found] == MACHINES[1:]


def test_a_machine_further_on_that_cannot_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = opened(monkeypatch, lacking=(MACHINES[2],))
    assert [first.machine, second.machine] == MACHINES[:2]
    assert third == RuntimePrecision(runtime="onnxruntime, float32", not_measured="no such thing here")


def test_a_file_that_nothing_runs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="no such thing here"):
        opened(monkeypatch, lacking=tuple(MACHINES))
