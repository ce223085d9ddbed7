from __future__ import annotations

import pytest

from centernet.models.necks import dlav0_up
from centernet.models.specs import FeatureSpec


def test_the_output_is_like_the_finest_input() -> None:
    inputs = [FeatureSpec(2, 8), FeatureSpec(4, 16), FeatureSpec(8, 24), FeatureSpec(16, 32)]
    assert dlav0_up.features(dlav0_up.Config(), inputs) == FeatureSpec(2, 8)


@pytest.mark.parametrize("strides", [(4, 8, 16), (4, 8, 16, 16), (4, 8, 16, 32, 64)])
def test_anything_but_four_doubling_levels_is_refused(strides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="double in stride"):
        dlav0_up.features(dlav0_up.Config(), [FeatureSpec(stride, 8) for stride in strides])
