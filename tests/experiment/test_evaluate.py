"""By which metric a data set is measured."""

from __future__ import annotations

from typing import Any

import pytest

from centernet import config as configuration
from centernet.errors import ConfigError
from centernet.experiment.evaluate import protocol_of
from centernet.experiment.schema import DataConfig


def data(name: str, **keys: Any) -> DataConfig:
    return configuration.validate(DataConfig, {"dataset": {"name": name}, "input_size": [64, 64], **keys}, source="test")


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("coco", None, "coco"),
        ("voc", None, "voc"),
        ("shapes", None, "coco"),
        ("coco", "voc", "voc"),
        ("voc", "coco", "coco"),
        ("shapes", "voc", "voc"),
    ],
)
def test_the_makers_metric_counts_unless_another_is_asked_for(name: str, asked: str | None, expected: str) -> None:
    assert protocol_of(data(name, metric=asked)) == expected


def test_a_metric_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"metric: found 'mota' \(str\), expected 'coco' or 'voc'"):
        data("coco", metric="mota")
