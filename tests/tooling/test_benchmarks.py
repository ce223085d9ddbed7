"""What benchmarks share: claims that end in one JSON line, and rounds in which every measure has its turn."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/report.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("report", BENCHMARKS / "report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "report", module)  # where dataclasses look for a class's module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("value", "at_least", "ok"),
    [(1.05, False, True), (1.06, False, False), (1.05, True, True), (1.04, True, False), (math.nan, True, False)],
)
def test_a_claim_holds_up_to_its_aim(report: ModuleType, value: float, at_least: bool, ok: bool) -> None:
    assert report.Claim("name", value, 1.05, "ratio", at_least=at_least).ok is ok


def test_the_last_lines_are_the_claims_as_json(report: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    code = report.finish(report.Claim("speed", 21.23456, 20.0, "ratio", at_least=True), report.Claim("time", 0.7, 0.5, "s", at_least=False))
    first, last = capsys.readouterr().out.splitlines()[-2:]
    assert json.loads(first) == {"name": "speed", "value": 21.2346, "aim": 20.0, "ok": True, "unit": "ratio"}
    assert json.loads(last) == {"name": "time", "value": 0.7, "aim": 0.5, "ok": False, "unit": "s"}
    assert code == 1


def test_every_measure_has_its_turn_in_every_round(report: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    turns: list[str] = []

    def measure(name: str) -> float:
        turns.append(name)
        return float(len(turns))

    values = report.interleaved({"one": lambda: measure("one"), "two": lambda: measure("two")}, rounds=2, unit="s")
    assert turns == ["one", "two", "one", "two"]
    assert values == {"one": [1.0, 3.0], "two": [2.0, 4.0]}
    assert "load average" in capsys.readouterr().out


def test_without_its_data_set_ap_in_other_precisions_is_skipped_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "precision.py"), "--data_dir", str(tmp_path / "missing")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [f"skipped: no data set in {tmp_path / 'missing'}; name its folder with --data_dir"]


@pytest.fixture
def inference(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/inference.py, which finds the modules beside it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("inference")


def test_what_cannot_be_measured_is_no_claim_that_holds(report: ModuleType) -> None:
    claim = report.Claim("name", math.nan, 0.15, "ratio", at_least=False)
    assert json.loads(claim.line()) == {"name": "name", "value": None, "aim": 0.15, "ok": False, "unit": "ratio"}


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ([-0.0504, -0.0503, -0.0505], "the rest took -50.4 ms, and nothing takes less than none"),
        ([0.0, 0.0, 0.0], "the rest took 0.0 ms"),
        ([-0.2, 0.003, 0.2], "the rest is 3.0 ms, give or take"),
    ],
)
def test_a_cost_that_cannot_be_is_not_measured(
    inference: ModuleType, capsys: pytest.CaptureFixture[str], rest: list[float], reason: str
) -> None:
    claim = inference.overhead([0.15] * 3, [0.001] * 3, rest)
    assert not claim.ok
    assert f"inference_rest_over_network: not measurable: {reason}" in capsys.readouterr().out


def test_a_cost_is_the_median_of_what_was_measured_together(inference: ModuleType) -> None:
    claim = inference.overhead([0.15] * 3, [0.001] * 3, [0.003, 0.004, 0.5])
    assert claim.value == pytest.approx(0.004 / 0.15)
    assert claim.ok
