from __future__ import annotations

import nnabla as nn
import pytest

from centernet.models.necks import identity
from centernet.models.ops import Ops
from centernet.models.specs import FeatureSpec


def test_the_only_feature_is_handed_on() -> None:
    assert identity.features(identity.Config(), [FeatureSpec(4, 256)]) == FeatureSpec(4, 256)
    x = nn.Variable((1, 256, 4, 4))
    assert identity.build([x], Ops(), identity.Config()) is x


def test_several_features_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one feature, found 2 of strides \[4, 8\]"):
        identity.features(identity.Config(), [FeatureSpec(4, 64), FeatureSpec(8, 64)])
