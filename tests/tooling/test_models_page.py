"""The table of networks on the page is that of the catalogue, and what the benchmark did not measure stays in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from centernet.models.catalogue import models

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "models.md"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """benchmarks/models.py, which is no part of a package."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import importlib

    yield importlib.import_module("models")
    for name in ("models", "report"):
        sys.modules.pop(name, None)


def rows(text: str) -> dict[str, list[str]]:
    """The table's cells by name."""
    lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip("`"): cells for cells in lines if len(cells) == 9 and cells[0] != "`--arch`"}


def test_the_page_lists_every_network_with_its_cost() -> None:
    found = rows(PAGE.read_text())
    assert list(found) == [model.name for model in models()]
    for model in models():
        cells = found[model.name]
        assert cells[1:3] == [f"{model.parameters / 1e6:.1f} M", f"{model.multiply_adds / 1e9:.1f} G"]
        assert cells[8] == (f"{model.published.ap:.1f}" if model.published else "")


def test_what_was_measured_goes_into_its_row_and_all_else_stays(benchmark: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "models.md"
    page.write_text(f"before\n{benchmark.START}\n{benchmark.END}\nafter\n")
    found = {"precision": "bfloat16", "bfloat16_ms": 28.04, "float32_ms": 129.0, "memory_mb": 512.0, "file_mb": 63.4}
    benchmark.write(page, {"res_18": found})
    benchmark.write(page, {"dla_34": {**found, "precision": "float32"}})
    table = rows(page.read_text())
    assert list(table) == [model.name for model in models()]
    assert table["res_18"][4:8] == ["28.0", "129.0", "0.51 GB", "63 MB"]
    assert table["dla_34"][4:6] == ["129.0", "129.0"]
    assert table["hourglass_104"][4:8] == ["-"] * 4
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
