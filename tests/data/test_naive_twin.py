"""The pipeline beside a plain implementation of the same augmentation: equal to a grey level, targets equal."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from centernet.data.augment import AugmentConfig
from centernet.data.pipeline import Pipeline
from centernet.geometry.gaussian import gaussian_radius
from centernet.structures import Grid
from centernet.tasks.ctdet.targets import encode_centers

Load = Callable[[str], ModuleType]
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Load:
    """A module of benchmarks/, which is no package."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)  # where dataclasses look for a class's module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("random_crop", [True, False])
@pytest.mark.parametrize(("side", "num_classes"), [(512, 80), (384, 20)])
def test_samples_equal_those_of_the_plain_implementation(
    module: Load, tmp_path: Path, side: int, num_classes: int, random_crop: bool
) -> None:
    # Mirrored pixels and a mirroring matrix are rounded differently where the view's size is no round number, so those are not compared.
    dataset = module("photographs").photographs(tmp_path, 6, num_classes=num_classes)
    grid, augment = Grid(side, side), AugmentConfig(random_crop=random_crop, flip=0.5 if random_crop else 0.0)
    naive = module("naive_input").NaiveInput(dataset=dataset, grid=grid, num_classes=num_classes, augment=augment, seed=2)
    encode = partial(encode_centers, num_classes=num_classes, max_objects=128, radius=gaussian_radius, min_overlap=0.7)
    pipeline = Pipeline(dataset, grid, encode, augment=augment, seed=2)
    out = {name: np.zeros(shape, dtype) for name, (shape, dtype) in pipeline.specs(0).items()}
    std = np.array(dataset.normalization.std)[:, None, None]
    for epoch in range(2):
        for index in range(6):
            expected, arrays = naive.sample(epoch, index), pipeline.item(epoch, index, out=out).arrays
            assert arrays.keys() == expected.keys()
            assert (np.abs(arrays["image"] - expected["image"]) * std * 255).max() < 0.1  # grey levels
            for name in expected.keys() - {"image"}:
                np.testing.assert_allclose(arrays[name], expected[name], atol=2e-5, err_msg=name)
            assert expected["num_objects"] > 0
