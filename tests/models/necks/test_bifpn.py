from __future__ import annotations

import nnabla as nn
import numpy as np
import pytest

from centernet.models.necks import bifpn
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec


def levels_of(count: int = 3, channels: int = 8) -> list[nn.Variable]:
    rng = np.random.default_rng(0)
    return [nn.Variable.from_numpy_array(rng.standard_normal((1, channels, 16 >> level, 16 >> level))) for level in range(count)]


def test_the_result_is_as_fine_as_the_finest_level() -> None:
    inputs = [FeatureSpec(4, 24), FeatureSpec(8, 96)]
    assert bifpn.features(bifpn.Config(width=0.5), inputs) == FeatureSpec(4, 32)
    with pytest.raises(ValueError, match="double"):
        bifpn.features(bifpn.Config(), inputs[:1])


def test_a_node_is_the_weighted_mean_of_its_inputs() -> None:
    a, b = levels_of()[0], levels_of(channels=8)[0] * 2
    y = bifpn._node(Ops(), a, b)
    found = nn.get_parameters(grad_only=False)
    found["weight_0"].d, found["weight_1"].d = 3.0, -1.0  # a negative weight counts as none
    kernel = np.zeros((8, 1, 3, 3))
    kernel[:, :, 1, 1] = 1
    found["depthwise/conv/W"].d, found["pointwise/conv/W"].d = kernel, np.eye(8).reshape(8, 8, 1, 1)
    y.forward()
    np.testing.assert_allclose(y.d, a.d / (1 + np.exp(-a.d)), atol=1e-3)


def test_every_layer_but_the_last_goes_both_ways() -> None:
    y = bifpn.build(levels_of(), Ops(seed=None), bifpn.Config(channels=8, layers=2))
    assert y.shape == (1, 8, 16, 16)
    nodes = [name.removesuffix("/pointwise/conv/W") for name in nn.get_parameters() if name.endswith("pointwise/conv/W")]
    first = ["finer_1", "finer_0", "coarser_1", "coarser_2"]
    assert nodes == [f"layer_0/{node}" for node in first] + ["layer_1/finer_1", "layer_1/finer_0"]
    inputs = {name.rpartition("/")[0]: 0 for name in nn.get_parameters() if "/weight_" in name}
    for name in nn.get_parameters():
        if "/weight_" in name:
            inputs[name.rpartition("/")[0]] += 1
    assert inputs["layer_0/coarser_1"] == 3
    assert set(inputs.values()) == {2, 3}


def test_in_the_end_the_finest_level_depends_on_all_and_all_depend_on_it() -> None:
    levels = levels_of()
    for level in levels:
        level.need_grad = True
        level.g = 0
    y = bifpn.build(levels, Ops(), bifpn.Config(channels=8, layers=1))
    y.forward()
    y.backward(np.random.default_rng(1).standard_normal(y.shape))
    assert all(level.g.any() for level in levels)
