from __future__ import annotations

import nnabla as nn
import pytest
from pydantic import ValidationError

from centernet.models.necks import resdcn
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec


def test_each_enlargement_halves_the_stride() -> None:
    inputs = [FeatureSpec(4, 64), FeatureSpec(32, 512)]
    assert resdcn.features(resdcn.Config(), inputs) == FeatureSpec(4, 64)
    assert resdcn.features(resdcn.Config(channels=(128, 64), width=0.5), inputs) == FeatureSpec(8, 32)


def test_more_enlargements_than_halvings_and_none_are_refused() -> None:
    with pytest.raises(ValueError, match="6 enlargements"):
        resdcn.features(resdcn.Config(channels=(8,) * 6), [FeatureSpec(32, 8)])
    with pytest.raises(ValidationError):
        resdcn.Config(channels=())


def test_layers_are_numbered_as_in_files_of_the_original() -> None:
    resdcn.build([nn.Variable((1, 16, 2, 3))], Ops(seed=None), resdcn.Config(channels=(8, 8)))
    assert [name for name in nn.get_parameters() if name.endswith("W")] == [
        "deconv_layers/0/conv/W",
        "deconv_layers/0/conv_offset_mask/conv/W",
        "deconv_layers/3/deconv/W",
        "deconv_layers/6/conv/W",
        "deconv_layers/6/conv_offset_mask/conv/W",
        "deconv_layers/9/deconv/W",
    ]
