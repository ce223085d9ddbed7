from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from centernet.experiment.demo import tiling_for
from centernet.geometry.nms import SoftNms


def detector(
    size: tuple[int, int], *, keep_resolution: bool = False, scales: tuple[float, ...] = (1.0,), suppression: SoftNms | None = None
) -> Any:
    spec = SimpleNamespace(size=size, keep_resolution=keep_resolution)
    assembly = SimpleNamespace(task=SimpleNamespace(suppression=suppression))
    return SimpleNamespace(spec=spec, description=SimpleNamespace(stride=4), scales=scales, assembly=assembly)


@pytest.mark.parametrize(("size", "aspect", "cell"), [((128, 160), 0.8, 16), ((160, 160), 1, 16), ((160, 128), 1, 20)])
def test_a_tile_is_what_the_network_sees_of_it(size: tuple[int, int], aspect: float, cell: float) -> None:
    """A square laid on the width of a low input would lose its upper and lower end."""
    tiling = tiling_for(detector(size), tile=640, overlap=64)
    assert (tiling.tile, tiling.overlap, tiling.aspect, tiling.cell) == (640, 64, aspect, cell)


def test_a_kept_resolution_takes_square_tiles_and_several_scales_repeat_objects() -> None:
    tiling = tiling_for(detector((128, 160), keep_resolution=True, scales=(1.0, 1.5)), tile=640, overlap=64)
    assert (tiling.aspect, tiling.cell, tiling.repeats) == (1, 4, True)
    assert not tiling_for(detector((128, 160)), tile=640, overlap=64).repeats


def test_a_task_that_always_suppresses_repeats_objects_too() -> None:
    assert tiling_for(detector((128, 160), suppression=SoftNms()), tile=640, overlap=64).repeats
