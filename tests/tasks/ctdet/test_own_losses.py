"""Losses of a user's own, named in YAML."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet import config as configuration
from centernet.errors import ConfigError
from centernet.tasks.ctdet.config import Config
from centernet.tasks.ctdet.losses import box_loss, heatmap_loss

MODULE = """
import nnabla.functions as F

def square(logits, heatmap):
    return F.squared_error(F.sigmoid(logits), heatmap)

def distance(prediction, target):
    return F.absolute_error(prediction, target)

def total(prediction, target):
    return F.sum(prediction - target)

def number(prediction, target):
    return 1.0

something = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "brook_losses.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("brook_losses", None)


def fed(array: Any, *, learns: bool = False) -> nn.Variable:
    return nn.Variable.from_numpy_array(np.asarray(array, np.float32), need_grad=learns)


def loss_of(kind: str, **more: Any) -> Any:
    return configuration.validate(Config, {"loss": {"heatmap": kind, **more}}, source="x.yaml").loss


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_heatmap_loss_of_ones_own_is_summed_and_divided_by_the_peaks(layout: Any) -> None:
    rng = np.random.default_rng(0)
    logits, heatmap = rng.standard_normal((2, 3, 4, 5)), rng.uniform(size=(2, 3, 4, 5))
    given = fed(logits if layout == "nchw" else logits.transpose(0, 2, 3, 1), learns=True)
    kind = loss_of("brook_losses:square").heatmap
    loss = heatmap_loss(given, {"heatmap": fed(heatmap), "num_peaks": fed(4.0)}, kind=kind, layout=layout)
    loss.forward()
    scores = 1 / (1 + np.exp(-logits))
    assert float(loss.d) == pytest.approx(np.sum((scores - heatmap) ** 2) / 4, rel=1e-5)
    given.g = 0
    loss.backward()
    slope = 2 * (scores - heatmap) * scores * (1 - scores) / 4
    np.testing.assert_allclose(given.g, slope if layout == "nchw" else slope.transpose(0, 2, 3, 1), atol=1e-5)


def test_a_box_loss_of_ones_own_is_summed_and_divided_by_the_objects() -> None:
    maps = np.arange(16, dtype=np.float32).reshape(1, 2, 2, 4)
    targets = {
        "size": fed([[[1.0, 1.0], [0.0, 0.0]]]),
        "indices": nn.Variable.from_numpy_array(np.array([[3, 0]])),
        "mask": fed([[1.0, 0.0]]),
        "num_objects": fed(2.0),
    }
    for kind, expected in (("brook_losses:distance", 12 / 2.0001), ("l1", 12 / 4.0001)):
        loss = box_loss("size", {"size": fed(maps)}, targets, kind=kind, relative=False, layout="nchw")
        loss.forward()
        assert float(loss.d) == pytest.approx(expected, rel=1e-5)


def test_a_loss_of_ones_own_survives_the_way_through_yaml() -> None:
    config = configuration.validate(Config, {"loss": {"boxes": "brook_losses:distance", "relative_size": True}}, source="x.yaml")
    tree = configuration.to_tree(config)
    assert tree["loss"]["boxes"] == "brook_losses:distance"
    assert configuration.validate(Config, tree, source="x.yaml") == config


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("focl", r"x\.yaml: loss\.heatmap: found 'focl' \(str\), expected 'focal', 'quality_focal' or 'mse'"),
        ("no_such_module:focal", r"loss\.heatmap: losses: 'no_such_module:focal': Python finds no module 'no_such_module'"),
        ("brook_losses:distances", r"loss\.heatmap: losses: .* has no 'distances'; did you mean 'distance'\?"),
        ("brook_losses:something", r"loss\.heatmap: losses: 'brook_losses:something': expected a function, found int"),
    ],
)
def test_a_loss_that_is_not_there_is_refused_with_its_path(kind: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loss_of(kind)


@pytest.mark.parametrize(("name", "found"), [("total", r"\(\)"), ("number", "float")])
def test_a_loss_that_does_not_say_each_numbers_error_is_refused(name: str, found: str) -> None:
    targets = {"heatmap": fed(np.zeros((1, 2, 3, 3))), "num_peaks": fed(1.0)}
    said = rf"task\.loss\.heatmap: 'brook_losses:{name}' returned {found}, expected a variable of shape \(1, 2, 3, 3\)"
    with pytest.raises(ConfigError, match=said):
        heatmap_loss(fed(np.zeros((1, 2, 3, 3))), targets, kind=f"brook_losses:{name}", layout="nchw")
