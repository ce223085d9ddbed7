from __future__ import annotations

import sys
from types import ModuleType

import pytest

from centernet.engine.context import Extension, gpu_of_process, resolve
from centernet.errors import DeviceError


@pytest.fixture
def no_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nnabla_ext.cudnn", "nnabla_ext.cuda"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extension that sees two GPUs, as far as choosing one goes."""
    cuda = ModuleType("nnabla_ext.cuda")
    cuda.get_device_count = lambda: 2  # type: ignore[attr-defined]
    for name, module in {"nnabla_ext.cudnn": ModuleType("nnabla_ext.cudnn"), "nnabla_ext.cuda": cuda}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("centernet.engine.context.get_extension_context", lambda name, **options: (name, options))


@pytest.mark.usefixtures("no_extension")
def test_auto_without_the_extension_is_the_cpu_and_says_why() -> None:
    device = resolve("auto")
    assert device.extension == "cpu"
    assert not device.is_gpu
    assert device.context.backend == ["cpu:float"]
    assert device.description.startswith("device: CPU, float (cudnn: not installed")


@pytest.mark.usefixtures("no_extension")
@pytest.mark.parametrize("extension", ["cuda", "cudnn"])
def test_an_extension_asked_for_by_name_and_missing_is_an_error(extension: Extension) -> None:
    with pytest.raises(DeviceError, match=rf"extension_module {extension}: not installed.*make setup EXTRAS=cuda120"):
        resolve(extension)


@pytest.mark.usefixtures("two_gpus")
def test_auto_takes_cudnn_and_the_gpu_given() -> None:
    device = resolve("auto", gpu=1)
    assert device.is_gpu
    assert device.context == ("cudnn", {"device_id": "1", "type_config": "float"})
    assert device.description == "device: cudnn, GPU 1 of 2, float"


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_that_is_not_there_is_an_error_only_for_an_extension_asked_for() -> None:
    with pytest.raises(DeviceError, match="GPUs 0 to 1 are there, not GPU 5"):
        resolve("cudnn", gpu=5)
    assert not resolve("auto", gpu=5).is_gpu


@pytest.mark.usefixtures("two_gpus")
def test_no_gpu_allowed_is_the_cpu_and_contradicts_an_extension_asked_for() -> None:
    assert not resolve("auto", gpu=None).is_gpu
    with pytest.raises(DeviceError, match="--gpus -1 allows none"):
        resolve("cudnn", gpu=None)


def test_the_cpu_can_be_asked_for() -> None:
    assert resolve("cpu").description == "device: CPU, float (as asked)"
    assert resolve("cpu", type_config="half").context.backend == ["cpu:half", "cpu:float"]


def test_an_unknown_extension_is_an_error() -> None:
    with pytest.raises(DeviceError, match="'tpu' is unknown; known: auto, cpu, cuda, cudnn"):
        resolve("tpu")  # type: ignore[arg-type]


def test_each_process_of_a_machine_takes_a_gpu_of_its_own() -> None:
    assert [gpu_of_process(None, local_rank=i) for i in (0, 1)] == [0, 1]
    assert [gpu_of_process([2, 3], local_rank=i) for i in (0, 1)] == [2, 3]
    assert gpu_of_process([-1], local_rank=0) is None
    with pytest.raises(DeviceError, match="process 2 of this machine has none left of 0"):
        gpu_of_process([0], local_rank=1)
