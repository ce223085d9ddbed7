"""The GPU's side: with and without a GPU, with and without the extension."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from centernet.experiment.doctor import device_report, gpu
from centernet.experiment.doctor.probes import Answer

VERSIONS = {"GPU": "9.0", "driver": "12.4", "CUDA": "12.1", "cuDNN": "8.9.7", "NCCL": "2.21.5"}


def report(**values: Any) -> Answer:
    return Answer({"gpu": "", "device": "device: cudnn, GPU 0 of 1, float", "versions": VERSIONS, "problems": [], **values})


@pytest.mark.parametrize(("is_there", "status"), [(False, "absent"), (True, "warning")])
def test_without_the_extension_the_cpu_computes(is_there: bool, status: str) -> None:
    (found,) = gpu.gpu(report(), is_there=is_there, extension=None)
    assert found.status == status
    assert bool(found.cure) == is_there


def test_an_extension_without_a_gpu_is_no_fault() -> None:
    (found,) = gpu.gpu(report(gpu="extension_module cudnn: cannot start, no driver; check it"), is_there=False, extension="1.39.0")
    assert (found.status, found.found) == ("warning", "1.39.0, but there is no NVIDIA GPU: the CPU computes")


def test_a_gpu_that_the_extension_cannot_use_is_broken() -> None:
    (found,) = gpu.gpu(report(gpu="extension_module cudnn: cannot start, libcudnn.so.8; check it"), is_there=True, extension="1.39.0")
    assert (found.status, found.found) == ("broken", "1.39.0, cannot start, libcudnn.so.8")
    assert found.cure


def test_with_both_the_libraries_are_listed() -> None:
    found = gpu.gpu(report(), is_there=True, extension="1.39.0")
    assert [one.name for one in found] == ["GPU extension", "CUDA", "cuDNN", "NCCL"]
    assert {one.status for one in found} == {"ok"}
    assert found[1].found == "12.1, driver for CUDA 12.4"


def test_a_library_that_is_missing_has_a_cure() -> None:
    found = gpu.gpu(report(versions={**VERSIONS, "NCCL": None}), is_there=True, extension="1.39.0")
    assert (found[-1].status, found[-1].cure) == ("warning", "pip install 'nvidia-nccl-cu12<3'")


@pytest.mark.parametrize(("stops", "status"), [(True, "broken"), (False, "warning")])
def test_known_problems_are_findings_with_their_command(stops: bool, status: str) -> None:
    text = "cuDNN 7.0.0 is loaded, the extension was built for 8.8.0; install it: `pip install nvidia-cudnn-cu12==8.9.7.29`"
    found = gpu.gpu(report(problems=[{"text": text, "stops": stops}]), is_there=True, extension="1.39.0")[-1]
    assert (found.status, found.cure) == (status, "pip install nvidia-cudnn-cu12==8.9.7.29")
    assert found.found == "cuDNN 7.0.0 is loaded, the extension was built for 8.8.0"


def test_signs_of_a_gpu_are_looked_for_where_drivers_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not gpu.has_gpu(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    assert gpu.has_gpu(tmp_path)


def test_the_cpu_computes_what_it_should() -> None:
    found = device_report.report()
    assert found["cpu"] == ""
    assert set(found) >= {"nnabla", "gpu", "versions", "problems"}
