"""Numbers for people and for files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from centernet.errors import OutputError
from centernet.experiment import report

RESULTS = {
    "AP": 0.25,
    "APl": -1.0,
    "per_class": {"cat": {"AP": 0.5, "AP50": 1.0}, "wild zebra": {"AP": math.nan, "AP50": 0.0}},
    "model": "x.h5",
}


def test_the_table_has_overall_numbers_then_a_line_per_class() -> None:
    assert report.table(RESULTS).splitlines() == [
        "AP          0.2500",
        "APl              -",
        "",
        "class           AP    AP50",
        "cat         0.5000  1.0000",
        "wild zebra       -  0.0000",
    ]


def test_a_table_without_classes_is_just_the_numbers() -> None:
    assert report.table({"AP": 1.0}) == "AP     1.0000"


def test_what_is_not_a_number_becomes_null(tmp_path: Path) -> None:
    path = report.write_json(tmp_path / "r.json", {"a": [math.nan, 1, (math.inf, "x")], "b": RESULTS})
    read = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert read["a"] == [None, 1, [None, "x"]]
    assert read["b"]["per_class"]["wild zebra"] == {"AP": None, "AP50": 0.0}


def test_the_series_is_a_line_per_checkpoint_and_a_plot(tmp_path: Path) -> None:
    text, picture = report.write_series(tmp_path, [(0, 0.125), (5, 0.25), (10, 1 / 3)])
    assert text.name == "Val-mAP.series.txt"
    assert text.read_text() == "0 0.125\n5 0.25\n10 0.333333\n"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_files_that_cannot_be_written_are_output_errors(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        report.write_json(tmp_path / "gone" / "r.json", {})
    with pytest.raises(OutputError, match="cannot be written"):
        report.write_series(tmp_path / "gone", [(0, 0.0)])
