"""What lies between the stages is computed twice, and nothing else changes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet import plugins
from centernet.models.heads import conv
from centernet.models.network import BACKBONES, NECKS, Network
from centernet.models.specs import HeadSpec
from centernet.structures import Array

HEADS = {"heatmap": HeadSpec(scope="hm", channels=2, kind="heatmap")}


def trained(backbone: Any, neck: Any, *, side: int, recompute: bool) -> tuple[dict[str, Array], list[int]]:
    """Values and gradients of all parameters after two steps, and which stage outputs and other arrays are there after forward."""
    network = Network(backbone, neck, conv.Config(hidden_channels=8), HEADS, scope=OrderedDict())
    parameters = network.parameters()
    image = nn.Variable(network.input_shape(2, side, side))
    with nn.auto_forward(False):
        stacks = network(image, training=True, recompute=recompute)
        total = nn.functions.add_n(*(nn.functions.sum((maps["heatmap"] - 1) ** 2) for maps in stacks))
    marked: list[int] = []
    total.visit(lambda function: marked.append(sum(output.recompute for output in function.outputs)))
    rng = np.random.default_rng(0)
    for _ in range(2):
        image.d = rng.normal(size=image.shape)
        total.forward(clear_no_need_grad=True)
        for parameter in parameters.values():
            if parameter.need_grad:
                parameter.grad.zero()
        total.backward(1.0, clear_buffer=True)
    values = {name: parameter.d.copy() for name, parameter in parameters.items()}
    return values | {f"{name} gradient": p.g.copy() for name, p in parameters.items() if p.need_grad}, marked


@pytest.mark.parametrize(
    ("backbone", "neck", "side", "options"),
    [
        ("resnet", "deconv", 64, {"channels": (16, 16, 16)}),
        ("dlav0", "dlav0_up", 64, {}),
        pytest.param("hourglass", "identity", 128, {}, marks=pytest.mark.slow),
    ],
)
def test_recomputing_gives_the_same_gradients_and_running_statistics_to_the_bit(
    backbone: str, neck: str, side: int, options: dict[str, object]
) -> None:
    parts = (plugins.load(BACKBONES, backbone).Config(width=0.125), plugins.load(NECKS, neck).Config(**options))
    once, unmarked = trained(*parts, side=side, recompute=False)
    twice, marked = trained(*parts, side=side, recompute=True)
    assert sum(unmarked) == 0
    assert sum(marked) > 50
    assert [name for name, values in once.items() if values.tobytes() != twice[name].tobytes()] == []
