from __future__ import annotations

import nnabla as nn
import pytest
from pydantic import ValidationError

from centernet.models.backbones import resnet, resnext
from centernet.models.ops import Ops


def kernels(config: resnext.Config) -> dict[str, tuple[int, ...]]:
    nn.clear_parameters()
    resnext.build(nn.Variable((1, 3, 32, 32)), Ops(seed=None), config)
    return {name: tuple(variable.shape) for name, variable in nn.get_parameters().items() if name.endswith("conv/W")}


@pytest.mark.parametrize(("num_layers", "first", "last"), [(50, 4, 32), (101, 8, 64)])
def test_the_3x3_convolutions_have_32_groups(num_layers: int, first: int, last: int) -> None:
    shapes = kernels(resnext.Config(num_layers=num_layers))
    assert shapes["res1/layer1/bottleneck2/conv/W"] == (32 * first, first, 3, 3)
    assert shapes["res4/layer3/bottleneck2/conv/W"] == (32 * last, last, 3, 3)
    assert sum(name.endswith("bottleneck2/conv/W") for name in shapes) == sum(resnet.BLOCKS[num_layers])


@pytest.mark.parametrize("width", [0.01, 0.3])
def test_narrowed_networks_keep_their_groups(width: float) -> None:
    for name, shape in kernels(resnext.Config(width=width)).items():
        if name.endswith("bottleneck2/conv/W"):
            assert shape[0] == 32 * shape[1], name


def test_a_depth_that_is_not_built_is_refused() -> None:
    with pytest.raises(ValidationError, match="50 or 101"):
        resnext.Config(num_layers=152)
