from __future__ import annotations

import nnabla as nn
import pytest

from centernet.models.necks import ida
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec


def test_every_level_is_enlarged_to_the_finest_one() -> None:
    levels = [FeatureSpec(4, 16), FeatureSpec(8, 24), FeatureSpec(16, 40), FeatureSpec(32, 96)]
    assert ida.features(ida.Config(width=0.5), levels) == FeatureSpec(4, 32)
    inputs = [nn.Variable((1, level.channels, 64 // level.stride, 64 // level.stride)) for level in levels]
    assert ida.build(inputs, Ops(seed=None), ida.Config(width=0.5)).shape == (1, 32, 16, 16)
    found = nn.get_parameters()
    assert [found[f"up_{level}/deconv/W"].shape for level in (1, 2, 3)] == [(32, 1, 4, 4), (32, 1, 8, 8), (32, 1, 16, 16)]
    assert [found[f"proj_{level}/conv/W"].shape[1] for level in range(4)] == [16, 24, 40, 96]
    assert "node_3/conv/W" in found


def test_levels_that_do_not_double_are_refused() -> None:
    with pytest.raises(ValueError, match="double"):
        ida.features(ida.Config(), [FeatureSpec(4, 8), FeatureSpec(16, 8)])
