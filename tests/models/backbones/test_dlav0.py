from __future__ import annotations

from centernet.models.backbones import dlav0
from centernet.models.specs import FeatureSpec


def test_levels_two_to_five_are_handed_on() -> None:
    expected = [FeatureSpec(4, 64), FeatureSpec(8, 128), FeatureSpec(16, 256), FeatureSpec(32, 512)]
    assert dlav0.features(dlav0.Config()) == expected
    assert dlav0.features(dlav0.Config(width=0.25))[0] == FeatureSpec(4, 16)
