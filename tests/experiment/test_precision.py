"""Loss scaling where an experiment does not say any: what the type it computes in needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from centernet import config
from centernet.engine.precision import LossScalingConfig
from centernet.experiment.choice import Choice, experiment
from centernet.experiment.schema import PrecisionConfig

CFG = Path(__file__).resolve().parents[2] / "cfg"


def precision(section: dict[str, Any]) -> PrecisionConfig:
    return experiment(Choice(yaml=CFG / "resnet_18_pascal_fp.yaml", keys={"train.precision": section})).train.precision


def test_half_precision_alone_is_scaled_as_the_mixed_precision_files_are() -> None:
    published = experiment(Choice(yaml=CFG / "resnet_18_pascal_mp.yaml")).train.precision.loss_scaling
    assert precision({"compute": "half"}).loss_scaling == published
    assert precision({"compute": "half", "loss_scaling": None}).loss_scaling == published


@pytest.mark.parametrize("section", [{}, {"compute": "float"}, {"compute": "float32"}])
def test_float32_is_not_scaled(section: dict[str, Any]) -> None:
    assert precision(section).loss_scaling == LossScalingConfig(scale=1, dynamic=False)


@pytest.mark.parametrize("compute", ["float", "half"])
def test_a_section_that_is_given_is_taken(compute: str) -> None:
    assert precision({"compute": compute, "loss_scaling": {"scale": 8}}).loss_scaling == LossScalingConfig(scale=8, dynamic=False)


def test_what_is_written_down_says_the_scaling_that_is_used() -> None:
    tree: Any = config.to_tree(PrecisionConfig(compute="half"))
    assert tree["loss_scaling"] == {"scale": 4.0, "dynamic": True, "growth_interval": 2000, "factor": 2.0, "max_skips": 10}
