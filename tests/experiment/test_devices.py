"""Which GPU a process takes."""

from __future__ import annotations

import pytest

from centernet.errors import DeviceError
from centernet.experiment import devices


def test_a_process_takes_the_gpu_of_its_number_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.gpu(None) == 0
    assert devices.gpu([3, 1]) == 3
    assert devices.gpu([-1]) is None
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "1")
    assert devices.gpu(None) == 1
    assert devices.gpu([3, 1]) == 1
    assert devices.gpu([3, 1], index=0) == 3
    with pytest.raises(DeviceError, match="list one for each process"):
        devices.gpu([3])
