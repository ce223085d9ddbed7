from __future__ import annotations

import pytest
from pydantic import ValidationError

from centernet.models.backbones import resnet
from centernet.models.specs import FeatureSpec


def test_bottlenecks_give_out_four_times_the_channels() -> None:
    assert [level.channels for level in resnet.features(resnet.Config(num_layers=34))] == [64, 128, 256, 512]
    assert [level.channels for level in resnet.features(resnet.Config(num_layers=50))] == [256, 512, 1024, 2048]
    assert resnet.features(resnet.Config(num_layers=101, width=0.25))[-1] == FeatureSpec(32, 512)


def test_a_depth_that_is_not_built_is_refused() -> None:
    with pytest.raises(ValidationError, match="18, 34, 50, 101 or 152"):
        resnet.Config(num_layers=20)
