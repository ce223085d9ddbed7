"""What the two GPU programs share: parts that each run in a process of their own, within a time, and end in one JSON file and one table.

A part that fails, runs out of memory, takes too long or dies hides none of the others: what became of it is a line of the table.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from centernet.engine import cuda_versions
from centernet.engine.context import resolve
from centernet.errors import CenterNetError, DeviceError
from report import ROOT

SECONDS = 470  # for everything; the promise is eight minutes
RESERVE = 5  # seconds below which no further part is begun
DeviceName = Literal["cudnn", "cpu"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A number, and what it should be: at most, or at least, `aim`; None: no aim."""

    what: str
    value: float
    unit: str
    aim: float | None = None
    at_least: bool = False

    @property
    def ok(self) -> bool | None:
        """Whether the aim is met; NaN never does."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.at_least else self.value <= self.aim


@dataclass(frozen=True, kw_only=True)
class Settings:
    """device: NNabla's. quick: sizes so small that a CPU shows whether the program itself works; its numbers mean nothing."""

    device: DeviceName
    quick: bool


@dataclass(frozen=True)
class Part:
    """One measurement. seconds: it may take. needs_gpu: what it measures exists on GPUs only."""

    name: str
    run: Callable[[Settings], list[Row]]
    seconds: float
    needs_gpu: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


class Skipped(Exception):
    """A part has nothing to measure here; the text says why.

    Args:
        is_failure: it should have run; only a quick run, which measures nothing anyway, does without.
    """

    def __init__(self, text: str, *, is_failure: bool = False) -> None:
        super().__init__(text)
        self.is_failure = is_failure


def main(title: str, parts: Sequence[Part], summary: Callable[[dict[str, float]], list[Row]] | None = None) -> int:
    """Run all parts, or, as the child of such a run, one of them.

    Args:
        title: of the table, and what the files are called.
        summary: rows made of the others' values by name, ratios for instance.

    Returns:
        The exit code: 0 if every part that belongs here ran and every aim is met, or if there is no GPU.
    """
    parser = argparse.ArgumentParser(description=title, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cudnn", "cpu"), default="cudnn", help="cpu: only to see that the program works")
    parser.add_argument("--quick", action="store_true", help="tiny sizes; the numbers mean nothing")
    parser.add_argument("--output", type=Path, default=ROOT / "exp" / "gpu", help="folder for NAME.json and NAME.md")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all parts together")
    parser.add_argument("--only", default="", help="parts to run, separated by commas: " + ", ".join(part.name for part in parts))
    parser.add_argument("--part", help=argparse.SUPPRESS)
    given = parser.parse_args()
    settings = Settings(device=given.device, quick=given.quick)
    if given.part is not None:
        return _child(next(part for part in parts if part.name == given.part), settings)
    if settings.device != "cpu":
        try:
            resolve(settings.device)
        except DeviceError as error:
            print(f"skipped: {error}\n(ARGS='--device cpu --quick' shows on any machine that the program itself works)")
            return 0
    chosen = [part for part in parts if not given.only or part.name in given.only.split(",")]
    return _parent(Path(sys.argv[0]).stem, title, chosen, settings, given, summary)


def _parent(
    name: str,
    title: str,
    parts: Sequence[Part],
    settings: Settings,
    given: argparse.Namespace,
    summary: Callable[[dict[str, float]], list[Row]] | None,
) -> int:
    started = perf_counter()
    done: list[dict[str, Any]] = []
    for part in parts:
        left = given.seconds - (perf_counter() - started)
        if part.needs_gpu and settings.device == "cpu":
            result = _result(part, "skipped", "needs a GPU")
        elif left < RESERVE:
            result = _result(part, "skipped" if settings.quick else "not run", f"no time left of {given.seconds:g} s")
        else:
            result = _run(part, settings, seconds=min(part.seconds, left))
        print(f"{part.name}: {result['status']} {result['reason']} ({result['seconds']:.0f} s)".replace("  ", " "), flush=True)
        done.append(result)
    values = {row["what"]: row["value"] for result in done for row in result["rows"]}
    if summary is not None:
        rows = summary(values)
        if rows:
            done.append(_result(Part("summary", lambda _: [], 0), "ok", rows=rows))
    facts = machine_facts(settings)
    record = {"title": title, **facts, "quick": settings.quick, "seconds": round(perf_counter() - started, 1), "parts": done}
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    table = as_table(title, facts, done)
    (given.output / f"{name}.md").write_text(table)
    print(f"\n{table}\nwrote {given.output / name}.json and .md", flush=True)
    not_run = [f"{result['name']} ({result['reason']})" for result in done if result["status"] == "not run"]
    if not_run:
        print(f"FAILED: {len(not_run)} of {len(parts)} parts did not run, so nothing is known of them: {'; '.join(not_run)}", flush=True)
    is_good = all(result["status"] in ("ok", "skipped") and all(row["ok"] is not False for row in result["rows"]) for result in done)
    return 0 if is_good or (settings.quick and all(result["status"] in ("ok", "skipped") for result in done)) else 1


def _run(part: Part, settings: Settings, *, seconds: float) -> dict[str, Any]:
    """The part in a process of its own, so that memory is its own and a crash too."""
    command = [sys.executable, sys.argv[0], "--part", part.name, "--device", settings.device, *(["--quick"] if settings.quick else [])]
    environment = {**os.environ, **part.environment}
    started = perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, start_new_session=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            stdout, stderr = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # those it started, too
            return _result(part, "too slow", f"not done after {seconds:.0f} s", seconds=seconds)
    took = perf_counter() - started
    lines = stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
        return _result(part, answer["status"], answer["reason"], rows=[Row(**row) for row in answer["rows"]], seconds=took)
    except (IndexError, ValueError, KeyError, TypeError):
        end = (stderr.strip().splitlines() or ["no output"])[-1]
        return _result(part, "died", f"exit code {process.returncode}: {end}", seconds=took)


def _child(part: Part, settings: Settings) -> int:
    """Run one part and say on the last line of the standard output what came of it."""
    rows: list[Row] = []
    status, reason = "ok", ""
    try:
        rows = part.run(settings)
    except Skipped as error:
        status, reason = "not run" if error.is_failure and not settings.quick else "skipped", str(error)
    except CenterNetError as error:
        status, reason = "failed", str(error)
    except Exception as error:  # whatever NNabla or CUDA throws is a result too
        traceback.print_exc()
        status, reason = "failed", f"{type(error).__name__}: {str(error).strip().splitlines()[-1] if str(error).strip() else ''}"
    print("\n" + json.dumps({"status": status, "reason": reason, "rows": [asdict(row) for row in rows]}), flush=True)
    return 0


def _result(part: Part, status: str, reason: str = "", *, rows: Sequence[Row] = (), seconds: float = 0.0) -> dict[str, Any]:
    as_rows = [{**asdict(row), "ok": row.ok} for row in rows]
    return {"name": part.name, "status": status, "reason": reason, "seconds": round(seconds, 1), "rows": as_rows}


def machine_facts(settings: Settings) -> dict[str, str]:
    """Date, card and versions, as far as they can be told."""
    import nnabla

    facts = {"date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "nnabla": nnabla.__version__}
    if settings.device == "cpu":
        return {**facts, "card": "none: CPU"}
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        card = subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout.strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        card = "unknown"
    cuda = importlib.import_module("nnabla_ext.cuda")
    versions = cuda_versions.read(gpu=0, built_cuda=cuda.__cuda_version__, built_cudnn=cuda.__cudnn_version__)
    doubts = "; ".join(problem.text for problem in cuda_versions.problems(versions, half=True))
    return {**facts, "card": card, "versions": versions.line(), **({"doubts": doubts} if doubts else {})}


def as_table(title: str, facts: Mapping[str, str], done: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: the facts, then a line for each number, and one for each part that gave none."""
    lines = [f"# {title}", "", ", ".join(f"{name}: {value}" for name, value in facts.items()), "", "| part | what | value | aim | |"]
    lines.append("|---|---|---|---|---|")
    for result in done:
        if not result["rows"]:
            lines.append(f"| {result['name']} | {result['reason']} | | | {result['status']} |")
        for row in result["rows"]:
            sign = ">=" if row["at_least"] else "<="
            aim = "" if row["aim"] is None else f"{sign} {row['aim']:g}"
            met = {None: "", True: "ok", False: "MISSED"}[row["ok"]]
            lines.append(f"| {result['name']} | {row['what']} | {row['value']:.4g} {row['unit']} | {aim} | {met} |")
    return "\n".join(lines) + "\n"
