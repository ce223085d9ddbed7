from __future__ import annotations

import pytest
from pydantic import ValidationError

from centernet.models.necks import deconv
from centernet.models.specs import FeatureSpec


def test_each_layer_halves_the_stride() -> None:
    inputs = [FeatureSpec(4, 64), FeatureSpec(32, 512)]
    assert deconv.features(deconv.Config(), inputs) == FeatureSpec(4, 256)
    assert deconv.features(deconv.Config(channels=(128, 64), width=0.5), inputs) == FeatureSpec(8, 32)


def test_more_layers_than_halvings_and_no_layer_are_refused() -> None:
    with pytest.raises(ValueError, match="6 layers"):
        deconv.features(deconv.Config(channels=(8,) * 6), [FeatureSpec(32, 8)])
    with pytest.raises(ValidationError):
        deconv.Config(channels=())
