"""Golden alg_dcn: DCNv2 with the original's channel order, forward and every gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.models.deformable import deformable_convolution
from centernet.models.initial import constant
from centernet.models.ops import Ops

pytestmark = pytest.mark.reference

TOLERANCE = 1e-4  # of max |values|


def through_the_layer(x: Any, com: Any, weight: Any, bias: Any, gradient: Any) -> dict[str, Any]:
    """The layer with offsets and mask `com` for an image: its own convolution sees `com` appended to x as further channels.

    Those channels have no weight in the deformable convolution, and pass through the other one unchanged.
    """
    joined = np.concatenate([x, com], axis=1)
    own, passed = x.shape[1], com.shape[1]
    variable = nn.Variable.from_numpy_array(joined).apply(need_grad=True)
    variable.g = 0
    y = deformable_convolution(variable, Ops(training=True), len(weight), initial=constant(0))
    parameters = nn.get_parameters()
    full = np.zeros(parameters["conv/W"].shape, np.float32)
    full[:, :own] = weight
    identity = np.zeros(parameters["conv_offset_mask/conv/W"].shape, np.float32)
    identity[np.arange(passed), own + np.arange(passed), 1, 1] = 1
    parameters["conv/W"].d, parameters["conv/b"].d, parameters["conv_offset_mask/conv/W"].d = full, bias, identity
    for parameter in parameters.values():
        parameter.g = 0
    y.forward()
    y.backward(gradient)
    return {
        "y": y.d,
        "gx": variable.g[:, :own],
        "gcom": variable.g[:, own:],
        "gw": parameters["conv/W"].g[:, :own],
        "gb": parameters["conv/b"].g,
    }


def test_outputs_and_gradients_equal_those_of_dcnv2(reference: Path) -> None:
    golden = np.load(reference / "torch" / "alg_dcn.npz")
    cases = sorted({key.split("_")[0] for key in golden.files})
    assert cases
    for case in cases:
        nn.clear_parameters()
        x, com, weight, bias, gradient = (golden[f"{case}_{name}"] for name in ("x", "com", "w", "b", "dy"))
        for name, values in through_the_layer(x, com, weight, bias, gradient).items():
            expected = golden[f"{case}_{name}"]
            assert np.abs(values - expected).max() <= TOLERANCE * np.abs(expected).max(), (case, name)
