"""Small networks with parameters that are not drawn by chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from centernet import config as configuration
from centernet.experiment.assembly import Assembly, assemble
from centernet.experiment.schema import ExperimentConfig
from centernet.structures import ClassTable, Normalization

CTDET_HEAD = {"name": "conv", "hidden_channels": 8}


@pytest.fixture(scope="session")
def assembled() -> Callable[..., Assembly]:
    return _assembled


def _assembled(
    backbone: dict[str, Any],
    neck: dict[str, Any],
    *,
    side: int,
    task: str = "ctdet",
    head: Mapping[str, Any] = CTDET_HEAD,
    last: Mapping[str, float] | None = None,
) -> Assembly:
    """A network of two classes for images of side x side pixels.

    last: factors of the parameters of heads' last layers, by a part of their names; 1 where none is in it.
    """
    tree: dict[str, Any] = {
        "task": {"name": task},
        "data": {"dataset": {"name": "shapes"}, "input_size": [side, side]},
        "model": {"backbone": backbone, "neck": neck, "head": dict(head), "pretrained_model_dir": None},
        "train": {"batch_size": 1},
    }
    config = configuration.validate(ExperimentConfig, tree, source="test")
    made = assemble(config, ClassTable(("disk", "ring")), Normalization((0.4, 0.5, 0.6), (0.3, 0.2, 0.25)))
    for name, parameter in made.network.parameters().items():
        drawn = np.random.default_rng(crc32(name.encode())).normal(size=parameter.shape)
        if name.endswith(("gamma", "var")):
            parameter.d = 1 + 0.1 * np.abs(drawn)
            continue
        factor = next((value for part, value in (last or {}).items() if part in name and "/final" in name), 1.0)
        parameter.d = factor * drawn * (np.sqrt(2 / np.prod(parameter.shape[1:])) if name.endswith("W") else 0.05)
    return made
