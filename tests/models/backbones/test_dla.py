from __future__ import annotations

import nnabla as nn

from centernet.models.backbones import dla
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec


def test_levels_two_to_five_are_handed_on() -> None:
    expected = [FeatureSpec(4, 64), FeatureSpec(8, 128), FeatureSpec(16, 256), FeatureSpec(32, 512)]
    assert dla.features(dla.Config()) == expected
    assert dla.features(dla.Config(width=0.25))[0] == FeatureSpec(4, 16)


def test_roots_see_both_blocks_the_pooled_input_and_the_first_tree() -> None:
    dla.build(nn.Variable((1, 3, 32, 32)), Ops(seed=None), dla.Config())
    inputs = {name: variable.shape[1] for name, variable in nn.get_parameters().items() if "/root/" in name and name.endswith("conv/W")}
    assert inputs == {
        "base/level2/root/conv/conv/W": 64 + 64,
        "base/level3/tree1/root/conv/conv/W": 128 + 128,
        "base/level3/tree2/root/conv/conv/W": 128 + 128 + 64 + 128,
        "base/level4/tree1/root/conv/conv/W": 256 + 256,
        "base/level4/tree2/root/conv/conv/W": 256 + 256 + 128 + 256,
        "base/level5/root/conv/conv/W": 512 + 512 + 256,
    }
