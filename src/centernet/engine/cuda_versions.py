"""Whether a GPU, its driver and NVIDIA's libraries go with NNabla's extension: rules about version numbers, and where those are read."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Version = tuple[int, ...]

OLDEST_GPU, NEWEST_GPU = (6, 0), (9, 0)  # machine code in the extension's wheel
TENSOR_CORES = (7, 0)
# sony/nnabla-examples#373, sony/nnabla-ext-cuda#462: 8.0.5 gives NaN in half precision, 8.4.0 does not; nobody tried what lies between.
BAD_CUDNN, GOOD_CUDNN = (8, 1), (8, 4)  # bad below, good from here
INSTALL_CUDNN = "`pip install nvidia-cudnn-cu12==8.9.7.29`"
INSTALL_RUNTIME = "`pip install 'nvidia-cuda-runtime-cu12<13' 'nvidia-cublas-cu12<13'`"
INSTALL_NCCL = "`pip install 'nvidia-nccl-cu12<3'`"
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # cudaDeviceAttr


@dataclass(frozen=True, kw_only=True)
class Versions:
    """What was found; None where it cannot be told.

    capability: of the GPU. driver: the newest CUDA it supports. cuda, cudnn, nccl: the libraries that are loaded.
    built_cuda, built_cudnn: what the extension was built for.
    """

    capability: Version | None = None
    driver: Version | None = None
    cuda: Version | None = None
    cudnn: Version | None = None
    nccl: Version | None = None
    built_cuda: Version | None = None
    built_cudnn: Version | None = None

    def line(self) -> str:
        """All of it, for the log."""
        parts = {
            "compute capability": self.capability,
            "driver for CUDA": self.driver,
            "CUDA": self.cuda,
            "cuDNN": self.cudnn,
            "NCCL": self.nccl,
            "extension built for CUDA": self.built_cuda,
            "and cuDNN": self.built_cudnn,
        }
        return ", ".join(f"{name} {dotted(version)}" for name, version in parts.items() if version is not None)


@dataclass(frozen=True)
class Problem:
    """What does not fit, and what to install or do. stops: it cannot work, or gives wrong numbers."""

    text: str
    stops: bool


def problems(found: Versions, *, half: bool, num_processes: int = 1) -> list[Problem]:
    """Everything that is known not to go together.

    Args:
        half: whether the network computes in half precision.
        num_processes: those that train together.
    """
    return [
        *_about_gpu(found, half=half),
        *_about_cuda(found),
        *_about_cudnn(found, half=half),
        *_about_nccl(found, num_processes),
    ]


def _about_gpu(found: Versions, *, half: bool) -> Iterator[Problem]:
    capability = found.capability
    if capability is None:
        return
    text = f"the GPU has compute capability {dotted(capability)}"
    if capability < OLDEST_GPU:
        yield Problem(f"{text}; NNabla's extension is built for {dotted(OLDEST_GPU)} to {dotted(NEWEST_GPU)}; take another GPU", True)
    elif capability[0] > NEWEST_GPU[0]:
        yield Problem(
            f"{text}; NNabla's extension has machine code up to {dotted(NEWEST_GPU)}: the driver must compile the rest at the first start, "
            "and where it cannot, CUDA says 'no kernel image'; take an older GPU then",
            False,
        )
    elif half and capability < TENSOR_CORES:
        yield Problem(f"{text}, without Tensor Cores (from {dotted(TENSOR_CORES)} on): half precision saves memory, not time", False)


def _about_cuda(found: Versions) -> Iterator[Problem]:
    if found.cuda is not None and found.driver is not None and found.driver[0] < found.cuda[0]:
        yield Problem(
            f"the driver supports CUDA up to {dotted(found.driver)}, but the libraries are of CUDA {dotted(found.cuda)}; "
            "install a newer driver",
            True,
        )
    if found.cuda is None or found.built_cuda is None:
        return
    text = f"CUDA {dotted(found.cuda)} is loaded, the extension was built for {dotted(found.built_cuda)}"
    if found.cuda[0] != found.built_cuda[0]:
        yield Problem(f"{text}; install it: {INSTALL_RUNTIME}", True)
    elif found.cuda < found.built_cuda:
        yield Problem(f"{text}; newer functions may be missing: {INSTALL_RUNTIME}", False)


def _about_cudnn(found: Versions, *, half: bool) -> Iterator[Problem]:
    cudnn, built = found.cudnn, found.built_cudnn
    if cudnn is None:
        return
    text = f"cuDNN {dotted(cudnn)} is loaded"
    if built is not None and cudnn[0] != built[0]:
        yield Problem(f"{text}, the extension was built for {dotted(built)}; install it: {INSTALL_CUDNN}", True)
    elif cudnn < BAD_CUDNN:
        what = "gives NaN in half precision (sony/nnabla-ext-cuda#462)"
        yield Problem(f"{text}, which {what}; install a newer one: {INSTALL_CUDNN}", half)
    elif half and cudnn < GOOD_CUDNN:
        yield Problem(f"{text}; half precision is known to work from {dotted(GOOD_CUDNN)} on: {INSTALL_CUDNN}", False)
    elif built is not None and cudnn < built[:2]:
        yield Problem(f"{text}, the extension was built for {dotted(built)}; newer functions may be missing: {INSTALL_CUDNN}", False)


def _about_nccl(found: Versions, num_processes: int) -> Iterator[Problem]:
    if num_processes <= 1:
        return
    if found.nccl is None:
        yield Problem(f"{num_processes} processes train together, and NCCL cannot be loaded; install it: {INSTALL_NCCL}", True)
    elif found.nccl[0] != 2:
        yield Problem(f"NCCL {dotted(found.nccl)} is loaded, the extension was built for 2; install it: {INSTALL_NCCL}", True)


def read(*, gpu: int, built_cuda: str, built_cudnn: str) -> Versions:
    """Ask the libraries that are loaded; what cannot be asked is None.

    Args:
        gpu: as CUDA_VISIBLE_DEVICES numbers those it leaves. built_cuda, built_cudnn: as the extension says them ("12.0", "8.8.0").
    """
    built = numbers(built_cuda), numbers(built_cudnn)
    major = built[0][0] if built[0] else 12
    runtime = _library(f"libcudart.so.{major}")
    cudnn = _library(f"libcudnn.so.{built[1][0] if built[1] else 8}")
    capability = [_asked(runtime, "cudaDeviceGetAttribute", what, gpu) for what in (CAPABILITY_MAJOR, CAPABILITY_MINOR)]
    driver, cuda, nccl = (
        _asked(runtime, "cudaDriverGetVersion"),
        _asked(runtime, "cudaRuntimeGetVersion"),
        _asked(_library("libnccl.so.2"), "ncclGetVersion"),
    )
    return Versions(
        capability=tuple(part for part in capability if part is not None) if None not in capability else None,
        driver=cuda_version(driver),
        cuda=cuda_version(cuda),
        cudnn=cudnn_version(_cudnn_number(cudnn)),
        nccl=nccl_version(nccl),
        built_cuda=built[0],
        built_cudnn=built[1],
    )


def numbers(text: str) -> Version | None:
    """`8.8.0` as numbers; None if it is something else."""
    parts = text.split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else None


def cuda_version(number: int | None) -> Version | None:
    """12010 is 12.1; 0, where there is no driver, is none."""
    return (number // 1000, number % 1000 // 10) if number else None


def cudnn_version(number: int | None) -> Version | None:
    """8907 is 8.9.7; from 9 on 90100 is 9.1.0."""
    if not number:
        return None
    step = 10000 if number >= 90000 else 1000
    return number // step, number % step // 100, number % 100


def nccl_version(number: int | None) -> Version | None:
    """21805 is 2.18.5; up to 2.8 2804 is 2.8.4."""
    if not number:
        return None
    step = 10000 if number >= 10000 else 1000
    return number // step, number % step // 100, number % 100


def dotted(version: Version) -> str:
    """8.9.7."""
    return ".".join(map(str, version))


def _library(name: str) -> Any:
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def _asked(library: Any, function: str, *arguments: int) -> int | None:
    """What one of the runtime's functions writes to its first argument; None where it fails."""
    value = ctypes.c_int()
    try:
        code = getattr(library, function)(ctypes.byref(value), *arguments)
    except AttributeError:  # there is no such library, or it is of another time
        return None
    return value.value if code == 0 else None


def _cudnn_number(library: Any) -> int | None:
    try:
        return int(library.cudnnGetVersion())
    except AttributeError:
        return None
