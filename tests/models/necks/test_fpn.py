from __future__ import annotations

import nnabla as nn
import numpy as np
import pytest

from centernet.models.necks import fpn
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec


def test_the_result_is_as_fine_as_the_finest_level() -> None:
    inputs = [FeatureSpec(8, 24), FeatureSpec(16, 96), FeatureSpec(32, 1280)]
    assert fpn.features(fpn.Config(), inputs) == FeatureSpec(8, 256)
    assert fpn.features(fpn.Config(channels=128, width=0.5), inputs) == FeatureSpec(8, 64)


@pytest.mark.parametrize("strides", [(4,), (4, 16), (8, 4)])
def test_levels_that_do_not_double_are_refused(strides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="double"):
        fpn.features(fpn.Config(), [FeatureSpec(stride, 8) for stride in strides])


def test_levels_are_added_from_the_coarsest_on() -> None:
    rng = np.random.default_rng(0)
    levels = [rng.standard_normal((1, 8, 8 >> level, 8 >> level)).astype(np.float32) for level in range(3)]
    y = fpn.build([nn.Variable.from_numpy_array(x) for x in levels], Ops(), fpn.Config(channels=8))
    found = nn.get_parameters(grad_only=False)
    for level in range(3):
        found[f"lateral_{level}/conv/W"].d = np.eye(8).reshape(8, 8, 1, 1)
    kernel = np.zeros((8, 8, 3, 3))
    kernel[:, :, 1, 1] = np.eye(8)
    found["output/conv/W"].d = kernel
    y.forward()
    total = sum(x.repeat(1 << level, 2).repeat(1 << level, 3) for level, x in enumerate(levels))
    np.testing.assert_allclose(y.d, np.maximum(total, 0), atol=1e-4)  # batch norm's epsilon
