"""How much memory training takes: of the process, and of its GPU."""

from __future__ import annotations

import ctypes
import resource
import sys

RUNTIME = "libcudart.so.12"  # the name under which NNabla's extension has loaded it
GB = 1e9


def text(host: int, gpu: tuple[int, int] | None) -> str:
    """`peak memory: process 0.51 GB, GPU 3.10 of 84.99 GB`; sizes in bytes."""
    of_gpu = f", GPU {gpu[0] / GB:.2f} of {gpu[1] / GB:.2f} GB" if gpu else ""
    return f"peak memory: process {host / GB:.2f} GB{of_gpu}"


def host_peak() -> int:
    """Bytes this process had in memory at most; its loading processes are not in it."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def gpu_memory() -> tuple[int, int] | None:
    """(bytes in use, bytes there are) of the current GPU; None where CUDA's runtime cannot say."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    try:
        code = ctypes.CDLL(RUNTIME).cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
    except (OSError, AttributeError):
        return None
    return (total.value - free.value, total.value) if code == 0 else None
