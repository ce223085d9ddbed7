from __future__ import annotations

from typing import Literal

import nnabla as nn
import numpy as np
import pytest

from centernet.models.backbones import mobilenet_v3
from centernet.models.ops import Ops

Size = Literal["small", "large"]


@pytest.mark.parametrize(("size", "channels"), [("small", [16, 24, 48, 576]), ("large", [24, 40, 112, 960])])
def test_the_levels_are_those_of_the_paper(size: Size, channels: list[int]) -> None:
    levels = mobilenet_v3.features(mobilenet_v3.Config(size=size))
    assert [level.stride for level in levels] == [4, 8, 16, 32]
    assert [level.channels for level in levels] == channels


@pytest.mark.parametrize(("size", "whole", "features", "hidden"), [("small", 2_542_856, 576, 1024), ("large", 5_483_032, 960, 1280)])
def test_it_has_as_many_parameters_as_torchvisions_less_the_classifier(size: Size, whole: int, features: int, hidden: int) -> None:
    mobilenet_v3.build(nn.Variable((1, 3, 32, 32)), Ops(seed=None), mobilenet_v3.Config(size=size))
    count = sum(np.prod(variable.shape) for variable in nn.get_parameters().values())
    assert count == whole - (features + 1) * hidden - (hidden + 1) * 1000


def test_its_batch_norm_changes_slowly_and_adds_more_to_the_variance_than_others() -> None:
    config = mobilenet_v3.Config(width=0.125)
    x = nn.Variable.from_numpy_array(np.zeros((2, 3, 32, 32), np.float32))
    nn.forward_all(mobilenet_v3.build(x, Ops(training=True), config))
    np.testing.assert_allclose(nn.get_parameters(grad_only=False)["features/0/1/bn/var"].d, 0.99, rtol=1e-6)
    epsilons: set[float] = set()
    mobilenet_v3.build(x, Ops(), config)[-1].visit(lambda function: epsilons.add(round(function.info.args.get("eps", 1e-3), 8)))
    assert epsilons == {1e-3}


@pytest.mark.parametrize(("channels", "squeezed"), [(16, 8), (72, 24), (96, 24), (120, 32), (240, 64), (144, 40), (672, 168)])
def test_squeezed_channels_are_the_original_s(channels: int, squeezed: int) -> None:
    with nn.parameter_scope("excited"):
        mobilenet_v3._excited(nn.Variable((1, channels, 2, 2)), Ops(seed=None))
        assert nn.get_parameters()["fc1/conv/W"].shape[0] == squeezed
