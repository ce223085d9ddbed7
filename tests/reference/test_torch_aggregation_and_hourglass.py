"""Golden net_*: the official DLA, ResDCN and hourglass networks, from weights made by a rule in the original's names."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.models.backbones import dla, hourglass, resnet
from centernet.models.heads import conv
from centernet.models.necks import dla_up, dlav0_ida, identity, resdcn
from centernet.models.network import Network
from centernet.models.specs import HeadSpec

pytestmark = pytest.mark.reference

TOLERANCE = 1e-3  # of the standard deviation of an output
NETWORKS: dict[str, tuple[Any, Any, int]] = {  # by the architecture a golden's name starts with; hidden channels of the heads
    "dla_34": (dla.Config(), dla_up.Config(), 256),
    "dlav0_34": (dla.Config(), dlav0_ida.Config(), 256),
    "resdcn_18": (resnet.Config(num_layers=18), resdcn.Config(), 64),
    "resdcn_101": (resnet.Config(num_layers=101), resdcn.Config(), 64),
    "hourglass": (hourglass.Config(), identity.Config(), 256),
}
QUICK = ("dla_34", "dlav0_34", "resdcn_18")


def check(name: str, reference: Path, rule: Any) -> None:
    """Build the network with the heads of a golden, give it the rule's weights and compare every output."""
    index = json.loads((reference / "torch" / "nets_index.json").read_text())[name]
    golden = np.load(reference / "torch" / f"net_{name}.npz")
    heads = {}
    for output, row in index["outputs"].items():
        head = output.split("__")[0]
        if not head.startswith("stack"):
            heads[head] = HeadSpec(scope=head, channels=row["full_shape"][1], kind="regression")
    backbone, neck, hidden = next(parts for prefix, parts in NETWORKS.items() if name.startswith(prefix))
    network = Network(backbone, neck, conv.Config(hidden_channels=hidden), heads, scope=OrderedDict(), seed=0)
    rule.fill(network.parameters())
    stacks = network(rule.image(index["input"]))
    nn.forward_all([output for outputs in stacks for output in outputs.values()], clear_no_need_grad=True)
    for output, row in index["outputs"].items():
        ((stack, head),) = re.findall(r"^(?:stack(\d)_)?(\w+?)(?:__c\d+)?$", output)
        values = stacks[int(stack or -1)][head].d[:, :: row["channel_stride"]]
        error = np.abs(values - golden[output]).max() / row["std"]
        assert error <= TOLERANCE, (output, error)


def names(reference: Path, prefix: str) -> list[str]:
    index = json.loads((reference / "torch" / "nets_index.json").read_text())
    return [name for name in index if name.startswith(f"{prefix}_")]


@pytest.mark.parametrize("architecture", QUICK)
def test_every_output_of_the_detector_equals_the_originals(architecture: str, reference: Path, rule: Any) -> None:
    check(names(reference, architecture)[0], reference, rule)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", NETWORKS)
def test_every_output_equals_the_originals_whatever_the_task(architecture: str, reference: Path, rule: Any) -> None:
    found = names(reference, architecture)
    assert found
    for name in found:
        check(name, reference, rule)
