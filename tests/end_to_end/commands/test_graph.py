"""`graph` and save_graph.py: the network as SVG, where Graphviz is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Command = Callable[..., Any]
WORDS = ("--arch", "dlav0", "--num_layers", "34", "--input_res", 64)


def test_without_graphviz_the_error_says_what_to_install(centernet: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = centernet("graph", *WORDS, "-o", tmp_path / "out", code=2)
    assert ended.err.startswith("error: the program 'dot' is missing: install Graphviz")
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
def test_the_graph_is_drawn_as_svg(script: Command, tmp_path: Path) -> None:
    ended = script("save_graph.py", "ctdet", *WORDS, "-o", "out")
    path = tmp_path / "out" / "dlav0_34_graph.svg"
    assert f"wrote {path.relative_to(tmp_path)}" in ended.out
    assert os.listdir(tmp_path / "out") == [path.name]
    words = " ".join(ElementTree.parse(path).getroot().itertext()).split()
    assert words.count("Convolution") > 40
    assert {"x", "hm", "reg", "wh"} <= set(words)


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
def test_the_graph_of_a_model_file_needs_no_other_words(tiny: Any, centernet: Command, tmp_path: Path) -> None:
    centernet("graph", "--checkpoint", tiny.lively, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "resnet_18_graph.svg").stat().st_size > 10_000
