from __future__ import annotations

import nnabla as nn
import pytest
from pydantic import ValidationError

from centernet.models.backbones import hourglass
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec

SKIP = ("0/conv/W", "1/bn/beta", "1/bn/gamma", "1/bn/mean", "1/bn/var")  # of a residual block whose channels change


def test_every_stack_gives_one_feature_of_stride_four() -> None:
    assert hourglass.features(hourglass.Config()) == [FeatureSpec(4, 256)]
    assert [hourglass.stacks(hourglass.Config(num_layers=layers)) for layers in (52, 104)] == [1, 2]
    with pytest.raises(ValidationError):
        hourglass.Config(num_layers=50)


def test_the_smaller_one_is_the_larger_ones_first_stack() -> None:
    shapes = []
    for layers in (52, 104):
        nn.clear_parameters()
        hourglass.build(nn.Variable((1, 3, 128, 128)), Ops(seed=None), hourglass.Config(num_layers=layers, width=0.0625))
        shapes.append({name: variable.shape for name, variable in nn.get_parameters(grad_only=False).items()})
    small, large = shapes
    later = ("kps/1/", "cnvs/1/", "inters/", "inters_/", "cnvs_/")
    assert small == {name: shape for name, shape in large.items() if not name.startswith(later)}


@pytest.mark.parametrize("side", [127, 128])
def test_the_innermost_map_has_one_cell_at_the_smallest_input(side: int) -> None:
    innermost = []
    (levels,) = hourglass.build(nn.Variable((1, 3, side, side)), Ops(seed=None), hourglass.Config(num_layers=52, width=0.0625))
    levels[0].visit(lambda function: innermost.append(function.outputs[0].shape[2]))
    assert min(innermost) == 1
    assert levels[0].shape == (1, 16, 32, 32)


def test_the_tiny_one_has_fewer_channels_inside_only() -> None:
    shapes = {}
    for size in ("full", "tiny"):
        nn.clear_parameters()
        hourglass.build(nn.Variable((1, 3, 128, 128)), Ops(seed=None), hourglass.Config(num_layers=52, size=size))
        shapes[size] = {name: variable.shape for name, variable in nn.get_parameters(grad_only=False).items()}
    fewer = {name for name, shape in shapes["full"].items() if shapes["tiny"][name] != shape}
    assert fewer
    assert all(name.startswith("kps/0/") for name in fewer)
    assert shapes["tiny"]["kps/0/low1/0/conv1/conv/W"] == (128, 256, 3, 3)
    assert set(shapes["tiny"]) - set(shapes["full"]) == {f"kps/0/low3/1/skip/{name}" for name in SKIP}  # 128 channels back to 256
