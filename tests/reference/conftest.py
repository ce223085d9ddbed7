"""The rule that makes the weights and the image of PyTorch's golden networks, and the originals' names of our parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import nnabla as nn
import numpy as np
import pytest

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
GAINS = (  # for the rest 2; FACTS.md 1
    (r"(deconv_layers\.\d+|(proj|node)_\d\.conv)\.weight", 4.0),
    (r".*\.conv[23]\.weight", 0.25),
    (r".*(skip|downsample|project)\.0\.weight|(inters_|cnvs_)\..*", 1.0),
)


class GoldenRule:
    """Weights and images as `rule.json` says."""

    def __init__(self, rule: Mapping[str, Any]) -> None:
        self._rule = rule

    def image(self, shape: list[int]) -> nn.Variable:
        """The input of the golden networks."""
        return nn.Variable.from_numpy_array(np.random.RandomState(self._rule["image_seed"]).randn(*shape).astype(np.float32))

    def fill(self, parameters: Mapping[str, nn.Variable]) -> None:
        """Give each of our parameters what the rule makes of its name and shape in the original."""
        for name, variable in parameters.items():
            variable.d = self._values(original(name), original_shape(name, variable.shape)).reshape(variable.shape)

    def _values(self, key: str, shape: tuple[int, ...]) -> Any:
        """All in float32."""
        seed = crc32((self._rule["key_prefix"] + key + self._rule["key_suffix"]).encode()) & 0xFFFFFFFF
        values = np.random.RandomState(seed).randn(*shape).astype(np.float32)
        if key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
            return np.abs(values) * np.float32(0.1) + np.float32(1)
        if len(shape) == 1:
            return values * np.float32(0.05)
        fan = np.prod(shape[1:])
        if shape[-1] % 2 == 0:
            fan = 4 * shape[0] if shape[1] > 1 else 4
        return values * np.float32(np.sqrt(_gain(key, shape) / fan) * (0.2 if "conv_offset_mask" in key else 1))


def _gain(key: str, shape: tuple[int, ...]) -> float:
    matches = (gain for pattern, gain in GAINS if re.fullmatch(f"(.*\\.)?({pattern})", key) and (gain != 4 or shape[-1] == 3))
    gain = next(matches, 2.0)
    if key.startswith("features.") and shape[-1] == 1 and shape[0] < shape[1]:
        gain = 0.5
    return gain * (1.4 if ".block." in key else 1)


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


def original_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Batch norm's parameters have one axis there."""
    return (shape[1],) if "bn" in name.split("/") else tuple(shape)


@pytest.fixture(scope="session")
def rule(reference: Path) -> GoldenRule:
    return GoldenRule(json.loads((reference / "torch" / "rule.json").read_text()))
