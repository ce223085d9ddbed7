"""What the two GPU programs share: parts that each run in a process of their own, within a time, and end in one JSON file and one table.

A part that fails, runs out of memory, takes too long or dies hides none of the others, and none of its own numbers so far: what became
of it is a line of the table.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any, Literal

from centernet.engine import cuda_versions
from centernet.engine.context import resolve
from centernet.errors import CenterNetError, DeviceError
from report import ROOT

SECONDS = 470  # for everything; the promise is eight minutes
RESERVE = 5  # seconds below which no further part is begun
MARGIN = 4  # seconds before its end at which a part that looks at the time stops
SAID = "said: "  # what a part's process prints before a line of JSON
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
        return bool(self.value >= self.aim if self.at_least else self.value <= self.aim)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """device: NNabla's. quick: sizes so small that a CPU shows whether the program itself works; its numbers mean nothing.

    folder: for files, the same for all parts of a run. until: when a part has to be done, of the monotonic clock.
    """

    device: DeviceName
    quick: bool
    folder: Path
    until: float

    @property
    def seconds_left(self) -> float:
        return self.until - monotonic()


@dataclass(frozen=True)
class Part:
    """One measurement. run: gives its rows, those of a generator one by one. seconds: it may take, unless the run is a quick one.

    needs_gpu: what it measures exists on GPUs only.
    """

    name: str
    run: Callable[[Settings], Iterable[Row]]
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
    for hidden, kind in (("--part", str), ("--folder", Path), ("--until", float)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part is not None:
        settings = Settings(device=given.device, quick=given.quick, folder=given.folder, until=given.until)
        return _child(next(part for part in parts if part.name == given.part), settings)
    if given.device != "cpu":
        try:
            resolve(given.device)
        except DeviceError as error:
            print(f"skipped: {error}\n(ARGS='--device cpu --quick' shows on any machine that the program itself works)")
            return 0
    chosen = [part for part in parts if not given.only or part.name in given.only.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(device=given.device, quick=given.quick, folder=Path(folder), until=monotonic() + given.seconds)
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
        left = settings.seconds_left
        if part.needs_gpu and settings.device == "cpu":
            result = _result(part.name, settings, "skipped", "needs a GPU")
        elif left < RESERVE:
            result = _result(part.name, settings, "skipped" if settings.quick else "not run", f"no time left of {given.seconds:g} s")
        else:
            result = _run(part, settings, seconds=left if settings.quick else min(part.seconds, left))
        print(f"{part.name}: {result['status']} {result['reason']} ({result['seconds']:.0f} s)".replace("  ", " "), flush=True)
        done.append(result)
    values = {row["what"]: row["value"] for result in done for row in result["rows"]}
    if summary is not None:
        rows = summary(values)
        if rows:
            done.append(_result("summary", settings, "ok", rows=[asdict(row) | {"ok": row.ok} for row in rows]))
    facts = machine_facts(settings)
    record = {"title": title, **facts, "quick": settings.quick, "seconds": round(perf_counter() - started, 1), "parts": done}
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    table = as_table(title + (", tiny sizes: these numbers mean nothing" if settings.quick else ""), facts, done)
    (given.output / f"{name}.md").write_text(table)
    print(f"\n{table}\nwrote {given.output / name}.json and .md", flush=True)
    not_run = [f"{result['name']} ({result['reason']})" for result in done if result["status"] == "not run"]
    if not_run:
        print(f"FAILED: {len(not_run)} of {len(parts)} parts did not run, so nothing is known of them: {'; '.join(not_run)}", flush=True)
    is_good = all(result["status"] in ("ok", "skipped") and all(row["ok"] is not False for row in result["rows"]) for result in done)
    return 0 if is_good or (settings.quick and all(result["status"] in ("ok", "skipped") for result in done)) else 1


def _run(part: Part, settings: Settings, *, seconds: float) -> dict[str, Any]:
    """The part in a process of its own, so that memory is its own and a crash too."""
    ends = ["--folder", str(settings.folder), "--until", str(monotonic() + seconds - MARGIN)]
    command = [sys.executable, sys.argv[0], "--part", part.name, "--device", settings.device, *ends, *["--quick"] * settings.quick]
    environment = {**os.environ, **part.environment}
    started = perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, start_new_session=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            stdout, stderr = process.communicate(timeout=seconds)
            is_late = False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # those it started, too
            stdout, stderr = process.communicate()
            is_late = True
    took = perf_counter() - started
    said = [json.loads(line.removeprefix(SAID)) for line in stdout.splitlines() if line.startswith(SAID)]
    rows = [answer for answer in said if "what" in answer]
    if said and "status" in said[-1]:
        return _result(part.name, settings, said[-1]["status"], said[-1]["reason"], rows=rows, seconds=took)
    if is_late:
        return _result(part.name, settings, "too slow", f"not done after {seconds:.0f} s", rows=rows, seconds=took)
    end = (stderr.strip().splitlines() or ["no output"])[-1]
    return _result(part.name, settings, "died", f"exit code {process.returncode}: {end}", rows=rows, seconds=took)


def _child(part: Part, settings: Settings) -> int:
    """Run one part and say on lines of their own what it measures, and last what came of it."""
    status, reason = "ok", ""
    try:
        for row in part.run(settings):
            _say({**asdict(row), "ok": row.ok})
    except Skipped as error:
        status, reason = "not run" if error.is_failure and not settings.quick else "skipped", str(error)
    except CenterNetError as error:
        status, reason = "failed", str(error)
    except Exception as error:  # whatever NNabla or CUDA throws is a result too
        traceback.print_exc()
        status, reason = "failed", f"{type(error).__name__}: {str(error).strip().splitlines()[-1] if str(error).strip() else ''}"
    _say({"status": status, "reason": reason})
    return 0


def _say(answer: Mapping[str, Any]) -> None:
    print(f"\n{SAID}{json.dumps(answer)}", flush=True)


def _result(
    name: str, settings: Settings, status: str, reason: str = "", *, rows: Sequence[Mapping[str, Any]] = (), seconds: float = 0.0
) -> dict[str, Any]:
    """What became of a part; a quick run's numbers are neither good nor bad."""
    judged = [{**row, "ok": None if settings.quick else row["ok"]} for row in rows]
    return {"name": name, "status": status, "reason": reason, "seconds": round(seconds, 1), "rows": judged}


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
        if not result["rows"] or result["status"] != "ok":
            lines.append(f"| {result['name']} | {result['reason']} | | | {result['status']} |")
        for row in result["rows"]:
            sign = ">=" if row["at_least"] else "<="
            aim = "" if row["ok"] is None else f"{sign} {row['aim']:g}"
            met = {None: "", True: "ok", False: "MISSED"}[row["ok"]]
            lines.append(f"| {result['name']} | {row['what']} | {row['value']:.4g} {row['unit']} | {aim} | {met} |")
    return "\n".join(lines) + "\n"
