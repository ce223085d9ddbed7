"""Which device NNabla computes on, said in one line."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import nnabla as nn
from nnabla.ext_utils import get_extension_context

from centernet.engine import cuda_libraries, cuda_versions
from centernet.errors import DeviceError

Extension = Literal["auto", "cpu", "cuda", "cudnn"]
TypeConfig = Literal["float", "half", "mixed_half"]

EXTENSIONS = ("auto", "cpu", "cuda", "cudnn")
INSTALL = "install it with `make setup EXTRAS=cuda120`, or give --extension_module cpu"


@dataclass(frozen=True)
class Device:
    """The chosen context; `description` is the line to show."""

    context: nn.Context
    extension: Literal["cpu", "cuda", "cudnn"]
    description: str

    @property
    def is_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self.extension != "cpu"


def has_gpu_extension() -> bool:
    """Whether NNabla's extension for GPUs is installed, whatever else is there."""
    return cuda_libraries.is_extension_installed()


def resolve(extension: Extension = "auto", *, gpu: int | None = 0, type_config: TypeConfig = "float") -> Device:
    """Choose the extension and the device.

    Args:
        extension: `auto`: cudnn where the extension and the GPU are there, else cpu.
        gpu: as CUDA_VISIBLE_DEVICES numbers those it leaves; None: none may be used.

    Raises:
        DeviceError: cuda or cudnn was asked for by name and cannot be had.
    """
    if extension not in EXTENSIONS:
        raise DeviceError(f"extension_module: '{extension}' is unknown; known: {', '.join(EXTENSIONS)}")
    if extension == "cpu":
        return _cpu(type_config, "as asked")
    name: Literal["cuda", "cudnn"] = "cuda" if extension == "cuda" else "cudnn"
    try:
        count = _check_gpu(name, gpu)
    except DeviceError as error:
        if extension == "auto":
            return _cpu(type_config, f"{name}: " + str(error).partition(": ")[2].partition(";")[0])
        raise
    context = get_extension_context(name, device_id=str(gpu), type_config=type_config)
    return Device(context, name, f"device: {name}, GPU {gpu} of {count}, {type_config}")


def check_libraries(device: Device, *, gpu: int, num_processes: int) -> list[str]:
    """Look whether the GPU and NVIDIA's libraries go with the extension; returns the versions in a line, and one for each doubt.

    Args:
        device: as `resolve` gave it, on a GPU. gpu: as `resolve` was given it.
        num_processes: those that train together.

    Raises:
        DeviceError: they do not; the text says what to install.
    """
    found = library_versions(gpu=gpu)
    half = any(backend.endswith("half") for backend in device.context.backend)
    problems = cuda_versions.problems(found, half=half, num_processes=num_processes)
    if any(problem.stops for problem in problems):
        raise DeviceError("; ".join(problem.text for problem in problems if problem.stops))
    return [found.line(), *(f"warning: {problem.text}" for problem in problems)]


def library_versions(*, gpu: int) -> cuda_versions.Versions:
    """The GPU's, its driver's and those of the libraries that `resolve` loaded; `gpu`: as it was given."""
    cuda: Any = importlib.import_module("nnabla_ext.cuda")
    return cuda_versions.read(gpu=gpu, built_cuda=cuda.__cuda_version__, built_cudnn=cuda.__cudnn_version__)


def in_float(context: nn.Context) -> nn.Context:
    """The same device, computing in float32."""
    backends = dict.fromkeys(backend.partition(":")[0] + ":float" for backend in context.backend)
    return nn.Context(list(backends), context.array_class, context.device_id)


def gpu_of_process(gpus: Sequence[int] | None, *, local_rank: int) -> int | None:
    """Which GPU one of this machine's processes takes, counted within CUDA_VISIBLE_DEVICES: the i-th of those allowed.

    Args:
        gpus: as `--gpus` lists them; None: all, in order, or the only one where CUDA_VISIBLE_DEVICES names one: launchers
            such as Slurm can give each process its own; -1 among them: none.

    Raises:
        DeviceError: there are more processes than GPUs listed.
    """
    if gpus is None:
        return 0 if re.fullmatch(r"[^,]+", os.environ.get("CUDA_VISIBLE_DEVICES", "").strip(" ,")) else local_rank
    if -1 in gpus or not gpus:
        return None
    if local_rank >= len(gpus):
        text = ",".join(map(str, gpus))
        raise DeviceError(f"--gpus: process {local_rank + 1} of this machine has none left of {text}; list one for each process")
    return gpus[local_rank]


def _cpu(type_config: TypeConfig, why: str) -> Device:
    context = get_extension_context("cpu", type_config=type_config)
    return Device(context, "cpu", f"device: CPU, {type_config} ({why})")


def _check_gpu(extension: str, gpu: int | None) -> int:
    """How many GPUs the extension sees, where `gpu` is one of them.

    Raises:
        DeviceError: the extension is not installed, cannot start, or does not see that GPU.
    """
    where = f"extension_module {extension}"
    if gpu is None:
        raise DeviceError(f"{where}: needs a GPU, but --gpus -1 allows none; give --extension_module cpu")
    try:
        cuda_libraries.load()
        importlib.import_module(f"nnabla_ext.{extension}")
        cuda: Any = importlib.import_module("nnabla_ext.cuda")
        count = int(cuda.get_device_count())
    except ModuleNotFoundError as error:
        raise DeviceError(f"{where}: not installed, there is no module {error.name}; {INSTALL}") from error
    except Exception as error:  # a driver or library problem surfaces as ImportError, RuntimeError, ValueError or OSError
        raise DeviceError(f"{where}: cannot start, {error}; check the NVIDIA driver, or {INSTALL}") from error
    if gpu not in range(count):
        seen = f"GPUs 0 to {count - 1} are there" if count else "no GPU is there"
        raise DeviceError(f"{where}: {seen}, not GPU {gpu}; check --gpus and CUDA_VISIBLE_DEVICES, or give --extension_module cpu")
    return count
