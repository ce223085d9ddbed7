"""Golden net_*: torchvision's classifiers as backbones, from weights made by a rule in torchvision's names."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet import plugins
from centernet.models.backbones import mobilenet_v2, mobilenet_v3, resnet, resnext, wide_resnet
from centernet.models.network import BACKBONES
from centernet.models.ops import Ops

pytestmark = pytest.mark.reference

TOLERANCE = 1e-3  # of the standard deviation of an output
STAGES = ("c2", "c3", "c4", "c5")
GOLDENS: dict[str, tuple[Any, tuple[str, ...]]] = {  # the names of our four features in the golden
    "resnet18": (resnet.Config(num_layers=18), STAGES),
    "resnet50": (resnet.Config(num_layers=50), STAGES),
    "resnext50_32x4d": (resnext.Config(num_layers=50), STAGES),
    "wide_resnet50_2": (wide_resnet.Config(num_layers=50), STAGES),
    "mobilenet_v2": (mobilenet_v2.Config(), ("f3", "f6", "f13", "f18")),
    "mobilenet_v3_small": (mobilenet_v3.Config(size="small"), ("f1", "f3", "f8", "f12")),
    "mobilenet_v3_large": (mobilenet_v3.Config(size="large"), ("f3", "f6", "f12", "f16")),
}
OTHERS = {
    "resnet34": resnet.Config(num_layers=34),
    "resnet101": resnet.Config(num_layers=101),
    "resnet152": resnet.Config(num_layers=152),
    "resnext101_32x8d": resnext.Config(num_layers=101),
    "wide_resnet101_2": wide_resnet.Config(num_layers=101),
}
CLASSIFIERS = ("fc.", "classifier.")


def build(config: Any, image: nn.Variable) -> list[nn.Variable]:
    features: list[nn.Variable] = plugins.load(BACKBONES, plugins.name_of(config)).build(image, Ops(seed=None), config)
    return features


@pytest.mark.parametrize("name", GOLDENS)
def test_every_feature_equals_the_originals(name: str, reference: Path, rule: Any) -> None:
    config, levels = GOLDENS[name]
    index = json.loads((reference / "torch" / "nets_index.json").read_text())[name]
    golden = np.load(reference / "torch" / f"net_{name}.npz")
    features = build(config, rule.image(index["input"]))
    rule.fill(nn.get_parameters(grad_only=False))
    nn.forward_all(features)
    outputs = {output.split("__")[0]: output for output in index["outputs"]}
    for level, feature in zip(levels, features, strict=True):
        row = index["outputs"][outputs[level]]
        assert list(feature.shape) == row["full_shape"]
        error = np.abs(feature.d[:, :: row["channel_stride"]] - golden[outputs[level]]).max() / row["std"]
        assert error <= TOLERANCE, (level, error)


@pytest.mark.parametrize("name", [*GOLDENS, *OTHERS])
def test_names_and_shapes_are_the_originals_but_for_the_classifier(name: str, reference: Path, original_shapes: Any) -> None:
    with gzip.open(reference / "torch" / "torch_state_dicts.json.gz") as file:
        published = json.load(file)["models"][f"torchvision/{name}"]
    build(OTHERS[name] if name in OTHERS else GOLDENS[name][0], nn.Variable((1, 3, 32, 32)))
    expected = {
        key: tuple(shape) for key, shape in published.items() if not key.startswith(CLASSIFIERS) and not key.endswith("num_batches_tracked")
    }
    assert original_shapes(nn.get_parameters(grad_only=False)) == expected
