"""Golden net_*: the official DLA, ResDCN and hourglass networks, from weights made by a rule in the original's names."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any
from zlib import crc32

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
ENDINGS = {
    "conv/W": "weight",
    "conv/b": "bias",
    "deconv/W": "weight",
    "bn/gamma": "weight",
    "bn/beta": "bias",
    "bn/mean": "running_mean",
    "bn/var": "running_var",
}
SCOPES = (  # where our scopes are not the original's modules: heads, and the ResNet of published NNabla files
    (r"([a-z_]+)_conv1", r"\1.0"),
    (r"([a-z_]+)_final", r"\1.2"),
    (r"(?!pre|inters)([a-z_]+)/(\d)/conv1", r"\1.\2.0.conv"),
    (r"([a-z_]+)/(\d)/final", r"\1.\2.1"),
)
GAINS = (
    (r"(deconv_layers\.\d+|(proj|node)_\d\.conv)\.weight", 4.0),
    (r".*\.conv[23]\.weight", 0.25),
    (r".*(skip|downsample|project)\.0\.weight|(inters_|cnvs_)\..*", 1.0),
)


def original(name: str) -> str:
    """The original's key of one of our parameters."""
    *scopes, layer, kind = name.split("/")
    scope, ending = "/".join(scopes), ENDINGS[f"{layer}/{kind}"]
    if scope == "conv1":
        return f"{layer}1.{ending}"
    block = re.fullmatch(r"res(\d)/layer(\d+)/(?:basicblock|bottleneck)(\d|_s/shortcut_conv)", scope)
    if block:
        stage, number, part = block.groups()
        inner = f"downsample.{int(layer == 'bn')}" if part.startswith("_s") else f"{layer}{part}"
        return f"layer{stage}.{int(number) - 1}.{inner}.{ending}"
    for pattern, key in SCOPES:
        if re.fullmatch(pattern, scope) and not scope.startswith(("dla_up", "ida_up")):
            return f"{re.sub(pattern, key, scope)}.{ending}"
    return f"{scope.replace('/', '.')}.{ending}"


def made_by_rule(key: str, shape: tuple[int, ...], seed_key: str) -> Any:
    """One parameter of the original, all in float32."""
    values = np.random.RandomState(crc32(seed_key.encode()) & 0xFFFFFFFF).randn(*shape).astype(np.float32)
    if key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
        return np.abs(values) * np.float32(0.1) + np.float32(1)
    if len(shape) == 1:
        return values * np.float32(0.05)
    fan = np.prod(shape[1:])
    if shape[-1] % 2 == 0:
        fan = 4 * shape[0] if shape[1] > 1 else 4
    gain = next((gain for pattern, gain in GAINS if re.fullmatch(f"(.*\\.)?({pattern})", key) and (gain != 4 or shape[-1] == 3)), 2.0)
    return values * np.float32(np.sqrt(gain / fan) * (0.2 if "conv_offset_mask" in key else 1))


def check(name: str, reference: Path) -> None:
    """Build the network with the heads of a golden, give it the rule's weights and compare every output."""
    index = json.loads((reference / "torch" / "nets_index.json").read_text())[name]
    rule = json.loads((reference / "torch" / "rule.json").read_text())
    golden = np.load(reference / "torch" / f"net_{name}.npz")
    heads = {}
    for output, row in index["outputs"].items():
        head = output.split("__")[0]
        if not head.startswith("stack"):
            heads[head] = HeadSpec(scope=head, channels=row["full_shape"][1], kind="regression")
    backbone, neck, hidden = next(parts for prefix, parts in NETWORKS.items() if name.startswith(prefix))
    network = Network(backbone, neck, conv.Config(hidden_channels=hidden), heads, scope=OrderedDict(), seed=0)
    for own, variable in network.parameters().items():
        key, shape = original(own), variable.shape
        values = made_by_rule(key, (shape[1],) if "/bn/" in own else shape, rule["key_prefix"] + key + rule["key_suffix"])
        variable.d = values.reshape(shape)
    image = np.random.RandomState(rule["image_seed"]).randn(*index["input"]).astype(np.float32)
    stacks = network(nn.Variable.from_numpy_array(image))
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
def test_every_output_of_the_detector_equals_the_originals(architecture: str, reference: Path) -> None:
    check(names(reference, architecture)[0], reference)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", NETWORKS)
def test_every_output_equals_the_originals_whatever_the_task(architecture: str, reference: Path) -> None:
    found = names(reference, architecture)
    assert found
    for name in found:
        check(name, reference)
