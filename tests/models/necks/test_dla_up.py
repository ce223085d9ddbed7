from __future__ import annotations

from types import ModuleType
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.models.necks import dla_up, dlav0_ida
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec

BOTH = [dla_up, dlav0_ida]


def maps(*channels: int) -> list[nn.Variable]:
    rng = np.random.default_rng(0)
    shapes = [(1, count, 32 >> level, 16 >> level) for level, count in enumerate(channels)]
    return [nn.Variable.from_numpy_array(rng.standard_normal(shape).astype(np.float32)) for shape in shapes]


def output(neck: ModuleType, config: Any, *channels: int) -> Any:
    y = neck.build(maps(*channels), Ops(), config)
    y.forward()
    return y.d


@pytest.mark.parametrize("neck", BOTH)
@pytest.mark.parametrize("channels", [(8, 16), (8, 16, 24), (8, 16, 24, 32), (8, 8, 8, 8, 8)])
def test_the_output_is_like_the_finest_input_however_many_levels_there_are(neck: ModuleType, channels: tuple[int, ...]) -> None:
    inputs = [FeatureSpec(4 << level, count) for level, count in enumerate(channels)]
    assert neck.features(neck.Config(), inputs) == inputs[0]
    assert output(neck, neck.Config(), *channels).shape == (1, 8, 32, 16)


@pytest.mark.parametrize("neck", BOTH)
@pytest.mark.parametrize("strides", [(4,), (4, 16), (4, 8, 8)])
def test_levels_that_do_not_double_in_stride_are_refused(neck: ModuleType, strides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="2 or more features that double in stride"):
        neck.features(neck.Config(), [FeatureSpec(stride, 8) for stride in strides])


def test_the_plain_variant_has_the_same_parameters_but_those_of_the_offsets() -> None:
    dla_up.build(maps(8, 16, 24, 32), Ops(seed=None), dla_up.Config())
    deformable = list(nn.get_parameters())
    nn.clear_parameters()
    dla_up.build(maps(8, 16, 24, 32), Ops(seed=None), dla_up.Config(deformable=False))
    assert list(nn.get_parameters()) == [name for name in deformable if "conv_offset_mask" not in name]
    assert len(deformable) > len(nn.get_parameters())


def test_a_new_deformable_neck_is_the_plain_one_with_its_convolutions_at_half_strength() -> None:
    deformed = output(dla_up, dla_up.Config(), 8, 16, 24)
    for name, variable in nn.get_parameters().items():
        if name.endswith("conv/conv/W"):
            variable.d = variable.d / 2
    plain = output(dla_up, dla_up.Config(deformable=False), 8, 16, 24)
    np.testing.assert_allclose(deformed, plain, rtol=1e-4, atol=1e-5)
    assert deformed.std() > 100 * np.abs(deformed - plain).max()


def test_maps_that_have_the_channels_already_are_not_projected() -> None:
    dlav0_ida.build(maps(8, 8, 16), Ops(seed=None), dlav0_ida.Config())
    projections = {name.split("/")[2] for name in nn.get_parameters() if "/proj_" in name and "ida_1" in name}
    assert not projections
    assert any("ida_0/proj_1/" in name for name in nn.get_parameters())
