"""The types that functions ran in are those of their arrays."""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType

import nnabla as nn
import pytest

from centernet.engine.checkpoint import Progress
from centernet.engine.communicator import Single
from centernet.engine.context import resolve
from centernet.engine.function_types import FunctionType, summary, table
from centernet.engine.precision import LossScalingConfig
from centernet.engine.reports import TypesReport
from centernet.engine.step import StepReport, TrainStep


def stepped(toy: ModuleType, type_config: str) -> tuple[TrainStep, StepReport]:
    toy.draw_parameters()
    with nn.context_scope(resolve("cpu", type_config=type_config).context):
        step = toy.make_step(Single(), scaling=LossScalingConfig(dynamic=True))
        return step, step.run(next(toy.Loader().epoch(0)).arrays, 1e-2)


def said(step: TrainStep, report: StepReport, path: Path) -> str:
    file = io.StringIO()
    monitor = TypesReport(step, path, file=file)
    for _ in range(2):
        monitor.stepped(Progress(), report, learning_rate=1e-2, num_images=4, wait=0.0)
    return file.getvalue()


def test_in_half_precision_convolutions_are_float16_and_batch_norm_with_its_statistics_float32(toy: ModuleType) -> None:
    step, _ = stepped(toy, "half")
    kinds = step.function_types
    assert kinds[FunctionType("Convolution", "float16", "float32")] == 2
    assert kinds[FunctionType("BatchNormalization", "float32", "float32")] == 1
    assert kinds[FunctionType("ReLU", "float16", "")] == 1
    assert kinds[FunctionType("AddN", "float32", "")] == 1  # the sum of the losses


def test_only_the_first_step_is_looked_at(toy: ModuleType) -> None:
    step, _ = stepped(toy, "float")
    before = step.function_types.copy()
    step.run(next(toy.Loader().epoch(0)).arrays, 1e-2)
    assert step.function_types == before


def test_the_report_is_printed_once_and_written_as_a_table(toy: ModuleType, tmp_path: Path) -> None:
    text = said(*stepped(toy, "half"), tmp_path / "types.csv")
    assert text.count("float16: ") == 1
    assert "2 Convolution" in text
    rows = (tmp_path / "types.csv").read_text().splitlines()
    assert rows[0] == "function,output,parameters,count"
    assert "Convolution,float16,float32,2" in rows


def test_in_float32_there_is_nothing_to_report(toy: ModuleType, tmp_path: Path) -> None:
    assert said(*stepped(toy, "float"), tmp_path / "types.csv") == ""
    assert not (tmp_path / "types.csv").exists()


@pytest.mark.parametrize("counts", [{FunctionType("A", "float16", ""): 2, FunctionType("A", "float16", "float32"): 3}])
def test_the_summary_adds_up_what_the_table_tells_apart(counts: dict[FunctionType, int]) -> None:
    assert list(summary(counts)) == ["float16: 5 A"]
    assert table(counts) == "function,output,parameters,count\nA,float16,,2\nA,float16,float32,3\n"
