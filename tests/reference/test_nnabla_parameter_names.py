"""The predecessor's parameter names, shapes and order: 48 variants of six networks."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from centernet import plugins
from centernet.models.backbones import dlav0, resnet
from centernet.models.heads import conv
from centernet.models.necks import deconv, dlav0_up
from centernet.models.network import BACKBONES, Network
from centernet.models.specs import HeadSpec

pytestmark = pytest.mark.reference

UNUSED = "fc/"  # the ImageNet classifier the predecessor carries along
Row = tuple[str, list[int], bool]


def network_of(architecture: str, num_classes: int, layout: Any, input_channels: int) -> Network:
    heads = {
        "heatmap": HeadSpec(scope="hm", channels=num_classes, kind="heatmap", bias=-2.19),
        "offset": HeadSpec(scope="reg", channels=2, kind="regression"),
        "size": HeadSpec(scope="wh", channels=2, kind="regression"),
    }
    if architecture == "dlav034":
        parts: tuple[Any, ...] = (dlav0.Config(), dlav0_up.Config(), conv.Config(hidden_channels=256))
    else:
        parts = (resnet.Config(num_layers=int(architecture.removeprefix("resnet"))), deconv.Config(), conv.Config())
    return Network(*parts, heads, layout=layout, input_channels=input_channels)


def published_rows(names: dict[str, Any], key: str) -> tuple[list[Row], str, str, int]:
    """Rows with the classifier, for one key of `totals` such as `resnet18/hm80/nchw/3ch`; and what the key means."""
    architecture, head, layout, channels = key.split("/")
    family = re.sub(r"\d+$", "", architecture)
    family = "dlav0" if family == "dlav" else family
    column = {"nchw": 1, "nhwc": 2}[layout]
    input_channels = int(channels.removesuffix("ch"))
    rows: list[Row] = []
    for row in names["backbone"][architecture] + names["head"][f"{family}/{head}"]:
        shape = list(row[column])
        if row[0] == "conv1/conv/W":
            shape[shape.index(3)] = input_channels
        rows.append((row[0], shape, row[3]))
    return rows, architecture, layout, input_channels


def test_names_shapes_order_and_trainability_equal_the_predecessors(reference: Path) -> None:
    names = json.loads((reference / "nnabla" / "nnabla_params.json").read_text())
    assert len(names["totals"]) == 48
    for key, total in names["totals"].items():
        rows, architecture, layout, input_channels = published_rows(names, key)
        digest = hashlib.sha256(json.dumps([list(row) for row in rows], separators=(",", ":")).encode()).hexdigest()
        assert digest == total["sha256"], key  # the rows were read as they were meant
        network = network_of(architecture, int(key.split("/")[1].removeprefix("hm")), layout, input_channels)
        ours = [(name, list(shape), network.trainable[name]) for name, shape in network.parameter_shapes().items()]
        assert ours == [row for row in rows if not row[0].startswith(UNUSED)], key


def test_the_backbone_owns_the_rows_before_the_classifier(reference: Path) -> None:
    names = json.loads((reference / "nnabla" / "nnabla_params.json").read_text())
    for architecture, rows in names["backbone"].items():
        network = network_of(architecture, 80, "nchw", 3)
        expected = {}
        for name, shape, *_ in rows:
            if name.startswith(UNUSED):
                break
            expected[name] = tuple(shape)
        assert network.backbone_shapes() == expected


def test_every_published_depth_is_built_and_no_other() -> None:
    assert set(resnet.BLOCKS) == {18, 34, 50, 101, 152}
    assert {"resnet", "dlav0"} <= set(plugins.names(BACKBONES))
