"""The same measurements in PyTorch, in an interpreter of its own: what `make gpu-speed` compares."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpu_networks import sizes
from gpu_parts import Row, Settings, Skipped

HERE = Path(__file__).resolve().parent
INHERITED = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")  # of this Python; another one has its own


def pytorch_python() -> tuple[str, dict[str, str]]:
    """The interpreter that has PyTorch, and its environment: nothing of this one's."""
    environment = {name: value for name, value in os.environ.items() if name not in INHERITED}
    own = {str(Path(folder) / "bin") for folder in (sys.prefix, sys.base_prefix, os.environ.get("PYTHONHOME", sys.prefix))}
    environment["PATH"] = os.pathsep.join(folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder not in own)
    found = os.environ.get("CENTERNET_PYTORCH") or shutil.which("python3", path=environment["PATH"])
    if found is None:
        raise Skipped("no python3 beside this one: set CENTERNET_PYTORCH")
    return found, environment


def pytorch(name: str) -> Callable[[Settings], list[Row]]:
    """A part that trains, and for ResNet-18 detects, in the other interpreter."""

    def measured(settings: Settings, mode: str, batch: int, *, half: bool) -> dict[str, Any]:
        python, environment = pytorch_python()
        side, _, steps = sizes(settings)
        given = {"network": name, "mode": mode, "half": half, "batch": batch, "side": max(side, 64), "steps": steps, "tf32": False}
        given |= {"device": "cpu" if settings.device == "cpu" else "cuda"}
        command = [python, "-c", "import gpu_pytorch; gpu_pytorch.answer()", json.dumps(given)]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=HERE)
        if "No module named 'torch'" in ended.stderr:
            raise Skipped(f"{python} has no PyTorch: set CENTERNET_PYTORCH")
        if ended.returncode:
            raise RuntimeError((ended.stderr.strip().splitlines() or ["no output"])[-1])
        answer: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
        return answer

    def run(settings: Settings) -> list[Row]:
        _, batch, _ = sizes(settings)
        rows = []
        for half in (True,) if settings.quick else (True, False):
            type_ = "half" if half else "float32"
            found = measured(settings, "train", batch, half=half)
            version = f"images/s, PyTorch {found['version']}"
            rows.append(Row(what=f"PyTorch train {name} {type_}", value=found["images_per_second"], unit=version))
            rows.append(Row(what=f"PyTorch train {name} {type_} memory at batch {batch}", value=found["memory"], unit="GB"))
        if name == "resnet_18" and not settings.quick:
            for size in (1, batch):
                found = measured(settings, "infer", size, half=True)
                rows.append(Row(what=f"PyTorch detect {name} half batch {size}", value=found["images_per_second"], unit="images/s"))
        return rows

    return run
