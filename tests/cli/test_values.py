"""What a typed value becomes."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from centernet.cli import values


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.scales, "0.5,1", [0.5, 1.0]),
        (values.thresholds, "0.3", {"": 0.3}),
        (values.gpu_ids, "0,1", [0, 1]),
        (values.from_minus_one, "-1", -1),
        (values.side, "-1", -1),
        (values.side, "64", 64),
        (values.whole, "-3", -3),
        (values.above_zero, "5e-4", 5e-4),
        (values.not_negative, "0", 0.0),
        (values.share, "1", 1.0),
        (values.below_one, "0.4", 0.4),
        (values.degrees, "180", 180.0),
        (values.one_of((0, 1, 2)), "2", 2),
        (values.words, "car, traffic light", ["car", "traffic light"]),
        (values.thresholds, "0.3,person=0.5", {"": 0.3, "person": 0.5}),
        (values.gpu_ids, "-1", [-1]),
        (values.path, "~/x", Path.home() / "x"),
        (values.model_file, "~/x.h5", Path.home() / "x.h5"),
        (values.positive, "3", 3),
        (values.from_zero, "0", 0),
    ],
)
def test_a_text_becomes_a_value(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (values.positive, "0", "expected a whole number above 0, found '0'"),
        (values.positive, "1.5", "expected a whole number above 0, found '1.5'"),
        (values.from_zero, "-1", "expected a whole number from 0 on, found '-1'"),
        (values.from_minus_one, "-2", "expected a whole number from 0 on, or -1 for the default, found '-2'"),
        (values.side, "0", "expected a whole number above 0, or -1 for the default, found '0'"),
        (values.whole, "many", "expected a whole number, found 'many'"),
        (values.above_zero, "nan", "expected a number above 0, found 'nan'"),
        (values.above_zero, "0", "expected a number above 0, found '0'"),
        (values.not_negative, "inf", "expected a number from 0 on, found 'inf'"),
        (values.share, "1.1", "expected a number from 0 to 1, found '1.1'"),
        (values.below_one, "1", "expected a number from 0 on, below 1, found '1'"),
        (values.degrees, "181", "expected degrees from 0 to 180, found '181'"),
        (values.scales, "0,1", "expected numbers above 0 with commas between, such as 0.5,1,1.5, found '0,1'"),
        (values.scales, "", "expected numbers above 0 with commas between, such as 0.5,1,1.5, found ''"),
        (values.gpu_ids, "0,-1", "expected numbers of devices with commas between, such as 0,1, or -1 for none, found '0,-1'"),
        (values.words, "a,,b", "expected names with commas between, such as car,traffic light, found 'a,,b'"),
        (values.thresholds, "a=1,a=0", "expected a score, or one for each class, each class once: 0.3,person=0.5, found 'a=1,a=0'"),
        (values.path, "", "expected a path, found ''"),
        (values.one_of(("auto", "openvino")), "openvin", "expected auto or openvino, found 'openvin'; did you mean 'openvino'?"),
        (values.one_of((0, 1, 2)), "7", "expected 0, 1 or 2, found '7'"),
    ],
)
def test_a_wrong_value_is_said_beside_what_was_expected(parse: Callable[[str], Any], text: str, expected: str) -> None:
    with pytest.raises(ArgumentTypeError) as caught:
        parse(text)
    assert str(caught.value) == expected
