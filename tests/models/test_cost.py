"""Multiply-adds and parameters: counted by hand, as published, and as the table has them."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources

import nnabla as nn
import nnabla.parametric_functions as PF
import pytest

from centernet.experiment import published
from centernet.experiment.assembly import from_description
from centernet.experiment.choice import Choice
from centernet.models.architectures import ARCHITECTURES
from centernet.models.cost import cost_of, multiply_adds

COSTS = json.loads(resources.files("centernet.models").joinpath("costs.json").read_text())
QUICK = ("res_18", "resdcn_18", "dla_34", "dlav0_34", "hourglass_52", "mobilenet_v2", "mobilenet_v3_small_bifpn", "res_fpn_18")


def test_convolutions_and_products_are_counted_as_by_hand() -> None:
    x = nn.Variable((1, 4, 8, 8))
    y = PF.convolution(x, 6, (3, 3), pad=(1, 1), stride=(2, 2), group=2)  # 4x4 out, 2 channels in per kernel
    z = PF.deconvolution(y, 6, (4, 4), pad=(1, 1), stride=(2, 2), group=6, name="up")  # each cell in to 4x4 out, per channel
    w = PF.affine(z, 5)
    expected = 6 * 4 * 4 * (2 * 9) + 6 * 4 * 4 * 16 + 6 * 8 * 8 * 5
    assert multiply_adds([w]) == expected
    assert multiply_adds([w, z]) == expected  # what leads to both counts once


def check(name: str) -> None:
    description = published.describe(Choice(words={"dataset": "coco", "arch": name}))
    heads = from_description(description, source=name).task.heads
    found = dataclasses.asdict(cost_of(ARCHITECTURES[name], heads))
    assert COSTS.get(name) == found, f' "{name}": {json.dumps(found)}'  # the line that costs.json needs


@pytest.mark.parametrize("name", QUICK)
def test_the_table_says_what_the_graph_says(name: str) -> None:
    check(name)


@pytest.mark.slow
def test_the_whole_table_says_what_the_graphs_say() -> None:
    assert list(COSTS) == list(ARCHITECTURES)
    for name in ARCHITECTURES:
        check(name)
