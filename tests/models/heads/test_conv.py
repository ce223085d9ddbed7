from __future__ import annotations

import nnabla as nn
import pytest
from pydantic import ValidationError

from centernet.models.heads import conv
from centernet.models.ops import Ops
from centernet.models.specs import HeadSpec

HEADS = {"heatmap": HeadSpec(scope="hm", channels=5, kind="heatmap", bias=-2.0)}


def test_without_hidden_channels_only_the_last_layer_is_there() -> None:
    outputs = conv.build(nn.Variable((1, 16, 4, 4)), Ops(), conv.Config(hidden_channels=0), HEADS)
    assert outputs["heatmap"].shape == (1, 5, 4, 4)
    found = nn.get_parameters()
    assert {name: parameter.shape for name, parameter in found.items()} == {
        "hm_final/conv/W": (5, 16, 1, 1),
        "hm_final/conv/b": (5,),
    }
    assert (found["hm_final/conv/b"].d == -2).all()


def test_a_negative_number_of_channels_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        conv.Config(hidden_channels=-1)
