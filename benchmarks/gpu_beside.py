"""The same measurements in PyTorch, in an interpreter of its own: what `make gpu-speed` compares."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gpu_networks import sizes
from gpu_parts import Row, Settings, Skipped
from gpu_search import found

HERE = Path(__file__).resolve().parent
INHERITED = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")  # of this Python; another one has its own
MOST = 4096  # no larger batch is tried
STARTING = 15.0  # seconds that PyTorch may need to start and to end


def pytorch_python() -> tuple[str, dict[str, str]]:
    """The interpreter that has PyTorch, and its environment: nothing of this one's."""
    environment = {name: value for name, value in os.environ.items() if name not in INHERITED}
    own = {str(Path(folder) / "bin") for folder in (sys.prefix, sys.base_prefix, os.environ.get("PYTHONHOME", sys.prefix))}
    environment["PATH"] = os.pathsep.join(folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder not in own)
    found_ = os.environ.get("CENTERNET_PYTORCH") or shutil.which("python3", path=environment["PATH"])
    if found_ is None:
        raise Skipped("no python3 beside this one: set CENTERNET_PYTORCH")
    return found_, environment


def answers(cases: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What `gpu_pytorch` says to each of the cases, as soon as it says it."""
    python, environment = pytorch_python()
    command = [python, "-c", "import gpu_pytorch; gpu_pytorch.answer()", json.dumps(list(cases))]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, cwd=HERE, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
        errors = process.stderr.read()
    if "No module named 'torch'" in errors:
        raise Skipped(f"{python} has no PyTorch: set CENTERNET_PYTORCH")
    if process.returncode:
        raise RuntimeError((errors.strip().splitlines() or ["no output"])[-1])


def case(settings: Settings, name: str, **more: Any) -> dict[str, Any]:
    """A measurement, as `gpu_pytorch.measure` takes it."""
    side, batch, steps = sizes(settings)
    given = {"network": name, "side": max(side, 64), "batch": batch, "steps": steps, "half": False, "tf32": False, **more}
    if settings.device == "cpu":
        return {**given, "device": "cpu", "half": False}  # it imitates bfloat16, slowly
    return {**given, "device": "cuda"}


def pytorch(name: str) -> Callable[[Settings], Iterator[Row]]:
    """A part that trains, and for ResNet-18 detects, in the other interpreter."""

    def run(settings: Settings) -> Iterator[Row]:
        _, batch, _ = sizes(settings)
        wanted = {f"train {name} half": case(settings, name, mode="train", half=True)}
        if not settings.quick:
            wanted[f"train {name} float32"] = case(settings, name, mode="train")
            wanted[f"train {name} TF32"] = case(settings, name, mode="train", tf32=True)
        if name == "resnet_18" and not settings.quick:
            for size in (1, batch):
                wanted[f"detect {name} half batch {size}"] = case(settings, name, mode="infer", half=True, batch=size)
        for what, answer in zip(wanted, answers(list(wanted.values())), strict=True):
            yield Row(what=f"PyTorch {what}", value=answer["images_per_second"], unit=f"images/s, PyTorch {answer['version']}")
            if wanted[what]["mode"] == "train":
                yield Row(what=f"PyTorch {what} memory at batch {batch}", value=answer["memory"], unit="GB")

    return run


def pytorch_largest(name: str) -> Callable[[Settings], Iterator[Row]]:
    """A part that looks for the largest batch in the other interpreter, in half precision, as ours is looked for."""

    def run(settings: Settings) -> Iterator[Row]:
        most, tried = 4 if settings.quick else MOST, {}
        seconds = max(1.0, settings.seconds_left - STARTING)
        search = case(settings, name, mode="train", half=True, steps=2, search={"most": most, "seconds": seconds})
        for answer in answers([search]):
            tried[answer["batch"]] = answer["fits"]
            if answer["fits"]:
                unit = f"images/s in {answer['memory']:.3g} GB, PyTorch {answer['version']}"
                yield Row(what=f"PyTorch train {name} half at batch {answer['batch']}", value=answer["images_per_second"], unit=unit)
        if not any(tried.values()):
            raise Skipped(f"not even a batch of {min(tried, default=0)} can be trained", is_failure=True)
        largest = max(size for size, fits in tried.items() if fits)
        yield Row(what=f"PyTorch largest batch {name} half", value=largest, unit=found(tried, most=most))

    return run
