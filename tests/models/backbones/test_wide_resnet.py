from __future__ import annotations

import nnabla as nn
import pytest

from centernet.models.backbones import resnet, wide_resnet
from centernet.models.ops import Ops


@pytest.mark.parametrize("num_layers", [50, 101])
def test_only_the_inside_of_the_blocks_is_twice_as_wide(num_layers: int) -> None:
    config, narrow = wide_resnet.Config(num_layers=num_layers), resnet.Config(num_layers=num_layers)
    assert wide_resnet.features(config) == resnet.features(narrow)
    wide_resnet.build(nn.Variable((1, 3, 32, 32)), Ops(seed=None), config)
    found = nn.get_parameters()
    assert found["res1/layer1/bottleneck1/conv/W"].shape == (128, 64, 1, 1)
    assert found["res4/layer3/bottleneck2/conv/W"].shape == (1024, 1024, 3, 3)
    assert found["res4/layer3/bottleneck3/conv/W"].shape == (2048, 1024, 1, 1)
