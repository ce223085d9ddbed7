from __future__ import annotations

import nnabla as nn
import numpy as np

from centernet.models.backbones import mobilenet_v2
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec


def test_the_levels_are_those_of_the_paper() -> None:
    expected = [FeatureSpec(4, 24), FeatureSpec(8, 32), FeatureSpec(16, 96), FeatureSpec(32, 1280)]
    assert mobilenet_v2.features(mobilenet_v2.Config()) == expected


def test_it_has_the_3_504_872_parameters_of_the_paper_less_the_classifier() -> None:
    mobilenet_v2.build(nn.Variable((1, 3, 32, 32)), Ops(seed=None), mobilenet_v2.Config())
    found = nn.get_parameters()
    assert sum(np.prod(variable.shape) for variable in found.values()) == 3_504_872 - 1281 * 1000
    assert found["features/2/conv/1/0/conv/W"].shape == (96, 1, 3, 3)
    assert "features/1/conv/0/0/conv/W" in found
    assert "features/1/conv/1/conv/W" in found
