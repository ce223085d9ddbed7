"""`make gpu-correct` and `make gpu-speed`: what becomes of their parts, and, in tiny sizes on the CPU, that they run."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
PROGRAMS = ("gpu_correct.py", "gpu_speed.py")

# Parts that end in every way there is.
MADE_UP = """\
import os, sys, time
sys.path.insert(0, {benchmarks!r})
from gpu_parts import Part, Row, Skipped, main

def good(settings):
    print("said on the way")
    return [Row(what="speed", value=9.0, unit="images/s", aim=8.0, at_least=True), Row(what="plain", value=1.0, unit="GB")]

def missed(settings):
    return [Row(what="error", value=float("nan"), unit="relative", aim=1e-3)]

def failing(settings):
    raise RuntimeError("error in cudnn\\nno kernel image")

def dying(settings):
    yield Row(what="before", value=2.0, unit="GB")
    os._exit(139)

def slow(settings):
    yield Row(what="in time", value=1.0, unit="GB", aim=0.5)
    time.sleep(1000)

def skipped(settings):
    raise Skipped("no PyTorch")

def told(settings):
    return [Row(what="environment", value=float(os.environ["TOLD"]), unit="")]

PARTS = [
    Part("dying", dying, 60), Part("failing", failing, 60), Part("missed", missed, 60), Part("slow", slow, 6), Part("skipped", skipped, 60),
    Part("good", good, 60), Part("told", told, 60, environment={{"TOLD": "3"}}), Part("gpu", good, 60, needs_gpu=True),
]
sys.exit(main("Made up", PARTS, lambda values: [Row(what="twice", value=2 * values.get("speed", 0.0), unit="images/s")]))
"""


def run(script: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program in this interpreter, which sees no GPU unless the machine has one."""
    path = os.pathsep.join([str(ROOT / "src"), str(BENCHMARKS)])
    command = [sys.executable, str(script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env={**os.environ, "PYTHONPATH": path, **environment})


def results(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    return {part["name"]: part for part in json.loads((folder / f"{name}.json").read_text())["parts"]}


@pytest.mark.slow
def test_a_part_that_goes_wrong_hides_none_of_the_others(tmp_path: Path) -> None:
    script = tmp_path / "made_up.py"
    script.write_text(MADE_UP.format(benchmarks=str(BENCHMARKS)))
    ended = run(script, "--device", "cpu", "--output", tmp_path / "out")
    assert ended.returncode == 1, ended.stderr
    found = results(tmp_path / "out", "made_up")
    assert {name: part["status"] for name, part in found.items()} == {
        "dying": "died",
        "failing": "failed",
        "missed": "ok",
        "slow": "too slow",
        "skipped": "skipped",
        "good": "ok",
        "told": "ok",
        "gpu": "skipped",
        "summary": "ok",
    }
    assert found["dying"]["reason"].startswith("exit code 139")
    assert [row["what"] for name in ("dying", "slow") for row in found[name]["rows"]] == ["before", "in time"]
    assert found["failing"]["reason"] == "RuntimeError: no kernel image"
    assert found["skipped"]["reason"] == "no PyTorch"
    assert found["told"]["rows"][0]["value"] == 3.0
    assert [row["ok"] for row in found["good"]["rows"]] == [True, None]
    table = (tmp_path / "out" / "made_up.md").read_text()
    assert "| good | speed | 9 images/s | >= 8 | ok |" in table
    assert "| missed | error | nan relative | <= 0.001 | MISSED |" in table
    assert "| failing | RuntimeError: no kernel image | | | failed |" in table
    assert "| slow | not done after 6 s | | | too slow |\n| slow | in time | 1 GB | <= 0.5 | MISSED |" in table
    assert "| summary | twice | 18 images/s |  |  |" in table


@pytest.mark.slow
def test_a_quick_run_misses_no_aim(tmp_path: Path) -> None:
    script = tmp_path / "made_up.py"
    script.write_text(MADE_UP.format(benchmarks=str(BENCHMARKS)))
    ended = run(script, "--device", "cpu", "--quick", "--output", tmp_path, "--only", "missed,good")
    assert ended.returncode == 0, ended.stderr
    assert "these numbers mean nothing" in ended.stdout
    assert "MISSED" not in ended.stdout
    assert [row["ok"] for row in results(tmp_path, "made_up")["good"]["rows"]] == [None, None]


@pytest.mark.slow
def test_what_there_is_no_time_for_is_skipped(tmp_path: Path) -> None:
    script = tmp_path / "made_up.py"
    script.write_text(MADE_UP.format(benchmarks=str(BENCHMARKS)))
    ended = run(script, "--device", "cpu", "--output", tmp_path, "--only", "slow,told", "--seconds", "5.5")
    found = results(tmp_path, "made_up")
    assert found["told"]["reason"] == "no time left of 5.5 s", ended.stdout


def test_parts_that_found_no_time_are_named_and_no_success(tmp_path: Path) -> None:
    script = tmp_path / "made_up.py"
    script.write_text(MADE_UP.format(benchmarks=str(BENCHMARKS)))
    words = ("--device", "cpu", "--output", tmp_path, "--only", "told,good,gpu", "--seconds", "0")
    ended = run(script, *words)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert (
        "FAILED: 2 of 3 parts did not run, so nothing is known of them: good (no time left of 0 s); told (no time left of 0 s)\n"
        in ended.stdout
    )
    assert {name: results(tmp_path, "made_up")[name]["status"] for name in ("told", "gpu")} == {"told": "not run", "gpu": "skipped"}
    assert "| told | no time left of 0 s | | | not run |" in (tmp_path / "made_up.md").read_text()
    ended = run(script, *words, "--quick")
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_golden_files_that_are_not_there_are_no_success(tmp_path: Path) -> None:
    words = (BENCHMARKS / "gpu_correct.py", "--device", "cpu", "--output", tmp_path, "--only", "golden-outputs,golden-training")
    ended = run(*words, CENTERNET_REFERENCE=str(tmp_path / "nowhere"))
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "FAILED: 2 of 2 parts did not run, so nothing is known of them: golden-outputs (no " in ended.stdout
    assert "rule.json: copy the reference folder to this machine and name it in CENTERNET_REFERENCE; what is compared with" in ended.stdout
    assert run(*words, "--quick", CENTERNET_REFERENCE=str(tmp_path / "nowhere")).returncode == 0


@pytest.mark.slow
def test_golden_files_are_found_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Path(os.environ.get("CENTERNET_REFERENCE") or ROOT.parent / "shared" / "reference") / "nnabla"
    if not (there / "12_train_steps.npz").exists():
        pytest.skip(f"no {there}")
    (tmp_path / ".gpu" / "reference").mkdir(parents=True)
    (tmp_path / ".gpu" / "reference" / "nnabla").symlink_to(there)
    monkeypatch.chdir(tmp_path)
    words = (BENCHMARKS / "gpu_correct.py", "--device", "cpu", "--quick", "--output", tmp_path, "--only", "golden-training")
    ended = run(*words, CENTERNET_REFERENCE=".gpu/reference")
    assert results(tmp_path, "gpu_correct")["golden-training"]["status"] == "ok", ended.stdout
    rows = results(tmp_path, "gpu_correct")["golden-training"]["rows"]
    assert all(row["value"] <= row["aim"] for row in rows), rows


def largest_found(fitting: int, *, first: int, most: int) -> tuple[int, list[int]]:
    """What the search ends with where batches of up to `fitting` fit, and what it tried."""
    tried: dict[int, bool] = {}
    while (size := gpu_search().next_batch(tried, first=first, most=most)) is not None:
        tried[size] = size <= fitting
    return max((size for size, fits in tried.items() if fits), default=0), list(tried)


def gpu_search() -> Any:
    spec = importlib.util.spec_from_file_location("gpu_search", BENCHMARKS / "gpu_search.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("fitting", [1, 5, 31, 32, 100, 447, 448, 1000])
def test_the_largest_batch_is_found_to_an_eighth(fitting: int) -> None:
    found, tried = largest_found(fitting, first=32, most=4096)
    assert found <= fitting < found * 9 / 8 + 1
    assert len(tried) <= 10


def test_the_search_doubles_halves_and_ends() -> None:
    assert largest_found(447, first=32, most=4096) == (416, [32, 64, 128, 256, 512, 384, 448, 416])
    assert largest_found(10**6, first=32, most=128) == (128, [32, 64, 128])
    assert largest_found(0, first=4, most=128) == (0, [4, 2, 1])


def test_what_is_said_of_the_largest_batch_is_what_is_known() -> None:
    found = gpu_search().found
    assert found({32: True, 64: False}, most=128) == "images; 64 do not fit"
    assert found({32: True, 64: True, 128: True}, most=128) == "images, the most that is tried"
    assert found({32: True}, most=128) == "images; no time for more"


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_a_gpu_the_programs_say_so_and_succeed(program: str, tmp_path: Path) -> None:
    ended = run(BENCHMARKS / program, "--output", tmp_path, CUDA_VISIBLE_DEVICES="")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("skipped: extension_module cudnn: ")
    assert "--device cpu --quick" in ended.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize(
    ("program", "parts"),
    [
        ("gpu_correct.py", ("half", "cpu", "shapes-half", "shapes-float")),
        (
            "gpu_speed.py",
            (
                "train-half-resnet_18",
                "train-float32-dlav0_34",
                "files-float32-dlav0_34",
                "detect-float32-resnet_18",
                "largest-float32-resnet_18",
            ),
        ),
    ],
)
def test_the_programs_run_in_tiny_sizes_on_the_cpu(program: str, parts: tuple[str, ...], tmp_path: Path) -> None:
    ended = run(BENCHMARKS / program, "--device", "cpu", "--quick", "--output", tmp_path, "--only", ",".join(parts))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = results(tmp_path, program.removesuffix(".py"))
    assert {name: part["status"] for name, part in found.items() if name != "summary"} == dict.fromkeys(parts, "ok"), ended.stdout
    assert all(part["rows"] for part in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_import_what_their_requirements_name_and_no_more(program: str) -> None:
    names = [line.split("==")[0] for line in (ROOT / "requirements-gpu.txt").read_text().splitlines() if "==" in line]
    code = f"""
import importlib.metadata, sys
sys.path.insert(0, {str(BENCHMARKS)!r})
import {program.removesuffix(".py")}
import centernet.metrics.coco_ap, centernet.imaging.io
owners = importlib.metadata.packages_distributions()
print(*sorted({{name for module in list(sys.modules) for name in owners.get(module.split(".")[0], [])}}))
"""
    path = os.pathsep.join([str(ROOT / "src"), str(BENCHMARKS)])
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert ended.returncode == 0, ended.stderr
    named = {canonicalize_name(name) for name in names}
    # What those bring along by themselves.
    brought = {"annotated-types", "pydantic-core", "typing-extensions", "typing-inspection", "six", "protobuf", "contextlib2", "setuptools"}
    imported = {canonicalize_name(name) for name in ended.stdout.split()} - {"centernet-nnabla"}
    assert imported - named - brought == set()


def test_the_make_targets_take_an_interpreter_and_then_build_nothing() -> None:
    asked = ["make", "--dry-run", "gpu-correct", "gpu-speed", "PYTHON=/opt/gpu/python", "ARGS=--quick"]
    shown = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout
    assert "setup.sh" not in shown
    for program in PROGRAMS:
        assert re.search(rf"/opt/gpu/python benchmarks/{program} --quick", shown)
    shown = subprocess.run(asked[:-2], cwd=ROOT, capture_output=True, text=True).stdout
    assert shown.count('tools/setup.sh run "cuda120"') == 2


@pytest.mark.gpu
@pytest.mark.timeout(500)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_gpu_meets_all_aims_within_eight_minutes(program: str, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / program), "--output", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=480, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    assert ended.returncode == 0, ended.stdout
