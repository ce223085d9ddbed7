"""`centernet models`: a line for each network, or all that is known as JSON."""

from __future__ import annotations

import json

import pytest

from centernet import cli
from centernet.models.architectures import ARCHITECTURES


def test_the_table_has_a_line_for_each_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.dispatch(["models"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.split()[:3] == ["--arch", "parameters", "multiply-adds"]
    assert [line.split()[0] for line in lines[: len(ARCHITECTURES)]] == list(ARCHITECTURES)
    (row,) = (line for line in lines if line.startswith("hourglass_104 "))
    assert row.split() == ["hourglass_104", "191.3", "M", "292.7", "G", "4", "128,", "or", "one", "less", "40.3", "ctdet_coco_hg", "MIT"]
    (row,) = (line for line in lines if line.startswith("small_hourglass "))
    assert row.split()[-3:] == ["39.5/41.9/43.6", "CenterNet-52", "BSD-3-Clause"]


def test_the_json_holds_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.dispatch(["models", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(found) == list(ARCHITECTURES)
    assert found["dla_34"]["published"]["ap"] == 37.4
    assert found["dlav0_34"]["weights"][0] == "dlav0_34_coco_fp"
    assert found["res_18"]["published"] is None
    large = found["large_hourglass"]["published"]
    assert [large[key] for key in ("ap", "flip_ap", "scales_ap", "weights")] == [42.9, 45.0, 46.9, None]


def test_a_word_too_many_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.dispatch(["models", "res_18"]) == 2
    assert "one word too many" in capsys.readouterr().err
