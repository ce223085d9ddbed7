"""Golden alg_corner_pool: the four sweeps with their gradients, centre pooling, and the blocks around both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zlib import crc32

import nnabla as nn
import numpy as np
import pytest

from centernet.models.corner_pool import cross_maximum, swept_maximum
from centernet.models.heads import triplet
from centernet.models.ops import Ops
from centernet.models.specs import HeadSpec
from centernet.models.torch_names import torch_key

pytestmark = pytest.mark.reference

TOLERANCE = 1e-3  # of the standard deviation of an output
DIRECTIONS: dict[str, Any] = {"top": "up", "bottom": "down", "left": "left", "right": "right"}


@pytest.fixture(scope="module")
def golden(reference: Path) -> dict[str, Any]:
    return dict(np.load(reference / "torch" / "alg_corner_pool.npz"))


def variable_of(values: Any) -> nn.Variable:
    variable = nn.Variable.from_numpy_array(values).apply(need_grad=True)
    variable.g = 0
    return variable


@pytest.mark.parametrize("pool", DIRECTIONS)
def test_a_sweep_and_its_gradient_are_the_extensions(pool: str, golden: dict[str, Any]) -> None:
    x = variable_of(golden["x"])
    y = swept_maximum(x, Ops(), DIRECTIONS[pool])
    y.forward()
    y.backward(golden["dy"])
    np.testing.assert_array_equal(y.d, golden[pool])
    np.testing.assert_allclose(x.g, golden[f"{pool}_grad"], atol=1e-5)


def test_centre_pooling_is_the_extensions_sweeps_forth_and_back(golden: dict[str, Any]) -> None:
    x = variable_of(golden["x"])
    y = cross_maximum(x, x, Ops())
    y.forward()
    np.testing.assert_allclose(y.d, golden["center_raw"], atol=1e-6)


@pytest.mark.parametrize("keypoint", triplet.KEYPOINTS)
def test_the_block_around_a_pooling_gives_the_originals_output(keypoint: str, golden: dict[str, Any], reference: Path) -> None:
    rule = json.loads((reference / "torch" / "rule.json").read_text())
    ops, x = Ops(seed=None), variable_of(golden["module_x"])
    heads = {"heat": HeadSpec(scope=f"{keypoint}_heats", channels=1, kind="heatmap", stack=0)}
    heat = triplet.build(x, ops, triplet.Config(), heads)["heat"]
    for name, parameter in nn.get_parameters(grad_only=False).items():
        if name.startswith(f"{keypoint}_cnvs/0/"):
            key = torch_key(name.removeprefix(f"{keypoint}_cnvs/0/"))
            shape = parameter.shape[1:2] if "/bn/" in name else parameter.shape
            salted = f"{rule['key_prefix']}{keypoint}.{key}{rule['key_suffix']}"
            parameter.d = made_by_rule(shape, salted, is_near_one=name.endswith(("gamma", "var"))).reshape(parameter.shape)
    block = block_before(heat)
    block.forward()
    expected = golden[f"module_{keypoint}"]
    assert block.shape == expected.shape
    assert np.abs(block.d - expected).max() <= TOLERANCE * expected.std()


def made_by_rule(shape: tuple[int, ...], seed_key: str, *, is_near_one: bool) -> Any:
    """One parameter of such a block: a kernel, or numbers of a batch norm."""
    values = np.random.RandomState(crc32(seed_key.encode()) & 0xFFFFFFFF).randn(*shape).astype(np.float32)
    if len(shape) > 1:
        return values * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    return np.abs(values) * np.float32(0.1) + np.float32(1) if is_near_one else values * np.float32(0.05)


def block_before(heat: nn.Variable) -> nn.Variable:
    """What the two convolutions of an output, with a ReLU between them, are given."""
    hidden = heat.parent.inputs[0].parent.inputs[0]
    block: nn.Variable = hidden.parent.inputs[0]
    return block
