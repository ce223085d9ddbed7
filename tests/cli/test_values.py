"""What a typed value becomes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from centernet.cli import values


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.numbers, "0.5,1", [0.5, 1.0]),
        (values.words, "car, traffic light", ["car", "traffic light"]),
        (values.thresholds, "0.3,person=0.5", {"": 0.3, "person": 0.5}),
        (values.gpu_ids, "-1", [-1]),
        (values.path, "~/x", Path.home() / "x"),
        (values.positive, "3", 3),
        (values.from_zero, "0", 0),
    ],
)
def test_a_text_becomes_a_value(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value
