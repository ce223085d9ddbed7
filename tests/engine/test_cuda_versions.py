"""What goes together and what does not, for given numbers."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from types import ModuleType
from typing import Any

import nnabla as nn
import pytest

from centernet.engine import cuda_versions
from centernet.engine.context import Device, check_libraries
from centernet.engine.cuda_versions import Versions, problems
from centernet.errors import DeviceError

GOOD = Versions(
    capability=(8, 0), driver=(12, 2), cuda=(12, 1), cudnn=(8, 9, 7), nccl=(2, 18, 5), built_cuda=(12, 0), built_cudnn=(8, 8, 0)
)


def test_what_setup_installs_goes_together() -> None:
    for half in (False, True):
        assert problems(GOOD, half=half, num_processes=4) == []
    assert problems(Versions(), half=True) == []  # of what cannot be told nothing is said


@pytest.mark.parametrize(
    ("change", "half", "stops", "parts"),
    [
        ({"capability": (5, 2)}, False, True, ("capability 5.2", "built for 6.0 to 9.0", "take another GPU")),
        ({"capability": (12, 0)}, False, False, ("capability 12.0", "machine code up to 9.0", "no kernel image")),
        ({"capability": (6, 1)}, True, False, ("without Tensor Cores (from 7.0 on)", "saves memory, not time")),
        ({"driver": (11, 8)}, False, True, ("supports CUDA up to 11.8", "of CUDA 12.1", "install a newer driver")),
        ({"cuda": (11, 8)}, False, True, ("CUDA 11.8 is loaded", "built for 12.0", "pip install 'nvidia-cuda-runtime-cu12<13'")),
        ({"cuda": (12, 0), "built_cuda": (12, 4)}, False, False, ("CUDA 12.0 is loaded", "built for 12.4")),
        ({"cudnn": (9, 1, 0)}, False, True, ("cuDNN 9.1.0 is loaded", "built for 8.8.0", "pip install nvidia-cudnn-cu12==8.9.7.29")),
        ({"cudnn": (8, 0, 5)}, True, True, ("cuDNN 8.0.5 is loaded", "NaN in half precision", "pip install nvidia-cudnn-cu12==8.9.7.29")),
        ({"cudnn": (8, 0, 5)}, False, False, ("cuDNN 8.0.5 is loaded", "NaN in half precision")),
        ({"cudnn": (8, 2, 4)}, True, False, ("cuDNN 8.2.4 is loaded", "known to work from 8.4 on")),
        ({"cudnn": (8, 6, 0)}, False, False, ("cuDNN 8.6.0 is loaded", "built for 8.8.0")),
        ({"nccl": None}, False, True, ("2 processes", "NCCL cannot be loaded", "pip install 'nvidia-nccl-cu12<3'")),
        ({"nccl": (1, 3, 4)}, False, True, ("NCCL 1.3.4 is loaded", "pip install 'nvidia-nccl-cu12<3'")),
    ],
)
def test_what_does_not_go_together_is_said_with_the_cure(change: dict[str, Any], half: bool, stops: bool, parts: tuple[str, ...]) -> None:
    (problem,) = problems(replace(GOOD, **change), half=half, num_processes=2)
    assert problem.stops == stops
    assert [part for part in parts if part not in problem.text] == []


def test_one_process_needs_no_nccl() -> None:
    assert problems(replace(GOOD, nccl=None), half=False) == []


def test_numbers_are_read_as_nvidia_writes_them() -> None:
    assert cuda_versions.cuda_version(12010) == (12, 1)
    assert cuda_versions.cuda_version(0) is None
    assert [cuda_versions.cudnn_version(number) for number in (8005, 8907, 90100, None)] == [(8, 0, 5), (8, 9, 7), (9, 1, 0), None]
    assert [cuda_versions.nccl_version(number) for number in (2804, 21805, None)] == [(2, 8, 4), (2, 18, 5), None]
    assert cuda_versions.numbers("8.8.0") == (8, 8, 0)
    assert cuda_versions.numbers("unknown") is None


def test_the_line_of_versions_names_what_is_known() -> None:
    assert GOOD.line() == (
        "compute capability 8.0, driver for CUDA 12.2, CUDA 12.1, cuDNN 8.9.7, NCCL 2.18.5, extension built for CUDA 12.0, and cuDNN 8.8.0"
    )
    assert Versions(cudnn=(8, 9, 7)).line() == "cuDNN 8.9.7"


class Library:
    """NVIDIA's, all in one: a call fails with code 1 where there is no answer."""

    def __init__(self, **answers: int) -> None:
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        def call(target: Any = None, what: int = 0, gpu: int = 0) -> int:
            answer = self.answers.get(f"{name}{what or ''}")
            if target is None or answer is None:
                return answer or 1
            target._obj.value = answer
            return 0

        return call


ANSWERS = {
    "cudaDeviceGetAttribute75": 9,
    "cudaDeviceGetAttribute76": 0,
    "cudaDriverGetVersion": 12020,
    "cudaRuntimeGetVersion": 12010,
    "cudnnGetVersion": 8907,
    "ncclGetVersion": 21805,
}


def test_versions_are_asked_of_the_libraries_that_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: names.append(name) or Library(**ANSWERS))
    assert cuda_versions.read(gpu=0, built_cuda="12.0", built_cudnn="8.8.0") == replace(GOOD, capability=(9, 0))
    assert set(names) == {"libcudart.so.12", "libcudnn.so.8", "libnccl.so.2"}


def test_libraries_that_are_not_there_or_fail_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Library:
        raise OSError(name)

    for loader in (missing, lambda name: Library(cudnnGetVersion=8907)):
        monkeypatch.setattr(ctypes, "CDLL", loader)
        found = cuda_versions.read(gpu=0, built_cuda="12.0", built_cudnn="8.8.0")
        assert (found.capability, found.driver, found.nccl, found.built_cuda) == (None, None, None, (12, 0))


@pytest.mark.parametrize(("cudnn", "expected"), [(8907, None), (8005, "cuDNN 8.0.5 is loaded, which gives NaN")])
def test_a_training_is_told_the_versions_or_why_it_cannot_begin(monkeypatch: pytest.MonkeyPatch, cudnn: int, expected: str | None) -> None:
    cuda = ModuleType("nnabla_ext.cuda")
    cuda.__dict__.update(__cuda_version__="12.0", __cudnn_version__="8.8.0")
    monkeypatch.setattr("importlib.import_module", lambda name: cuda)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library(**{**ANSWERS, "cudnnGetVersion": cudnn}))
    device = Device(nn.Context(["cudnn:half", "cudnn:float"], "CudaCachedArray", "0"), "cudnn", "a GPU")
    if expected is None:
        assert check_libraries(device, gpu=0, num_processes=1) == [replace(GOOD, capability=(9, 0)).line()]
    else:
        with pytest.raises(DeviceError, match=expected):
            check_libraries(device, gpu=0, num_processes=1)
