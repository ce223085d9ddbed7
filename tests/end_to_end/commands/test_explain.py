"""`test --explain`: the page and the numbers on what the average precision loses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import centernet as package
from centernet.cli import values
from centernet.errors import ConfigError

Command = Callable[..., Any]
HEADS = ["heatmap", "offset", "size"]
EMPTY = {"meta", "br", "img", "rect", "circle", "path", "polyline", "image", "link", "input"}  # elements that hold nothing


class Page(HTMLParser):
    """Which elements there are, that each is closed where it should be, and what is loaded from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.foreign: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.foreign += [str(value) for key, value in attrs if key in ("href", "src", "xlink:href") and not str(value).startswith("data:")]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self.open.pop() == tag


def explained(folder: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((folder / "explain.json").read_text())
    return tree


def test_the_page_stands_alone_and_the_numbers_are_those_of_the_plain_test(
    tiny: Any, own_truth: tuple[str, ...], centernet: Command, tmp_path: Path
) -> None:
    plain, out = tmp_path / "plain", tmp_path / "out"
    centernet("test", "ctdet", "--checkpoint", tiny.lively, *own_truth, "-o", plain)
    ended = centernet("test", "ctdet", "--checkpoint", tiny.lively, *own_truth, "-o", out, "--explain")
    for file in ("results.json", "detections.json"):
        assert (out / file).read_text() == (plain / file).read_text()
    tree = explained(out)
    assert tree["results"] == json.loads((out / "results.json").read_text())
    assert [*tree["perfect"]] == [*HEADS, "classes", "everything"]
    assert 0.3 < tree["results"]["AP"] <= tree["perfect"]["classes"]["AP"]
    shares = [one["share"] for one in tree["mistakes"].values()]
    assert sum(shares) == pytest.approx(1)
    assert tree["num_right"] == tree["num_found"] <= tree["num_objects"]

    text = (out / "explain.html").read_text()
    page = Page(text)
    assert page.foreign == []
    assert not re.search(r"@import|url\(|<script|https?:", text)
    assert "prefers-color-scheme: dark" in text
    assert page.counts["figure"] == len(tree["worst"]) > 0
    assert page.counts["polyline"] == 2 * sum(one["num_objects"] > 0 for one in tree["classes"].values()) + 1
    assert "$" not in text

    assert "if perfect" in ended.out
    assert f"wrote {out / 'explain.html'}" in ended.out
    (line,) = (line for line in ended.out.splitlines() if line.startswith("--vis_thresh "))
    assert line in text
    assert values.thresholds(line.split(" ")[1]) == tree["thresholds"]
    centernet("demo", "--checkpoint", tiny.lively, "--demo", tiny.images[0], "-o", tmp_path / "demo", *line.split(" "))


@pytest.mark.parametrize(
    "typed",
    [
        (),
        pytest.param(("--flip_test",), marks=pytest.mark.slow),
        pytest.param(("--test_scales", "1,1.5", "--keep_res"), marks=pytest.mark.slow),
    ],
)
def test_all_heads_perfect_find_every_object_whatever_the_network(
    typed: tuple[str, ...], tiny: Any, centernet: Command, tmp_path: Path
) -> None:
    centernet("test", "--checkpoint", tiny.checkpoints / "params_1.h5", "--data_dir", tiny.data, "-o", tmp_path, "--explain", *typed)
    tree = explained(tmp_path)
    assert tree["results"]["AP50"] < 0.1
    assert tree["perfect"]["everything"]["AP50"] == pytest.approx(1)
    assert tree["perfect"]["size"]["AP"] < tree["perfect"]["everything"]["AP"]


@pytest.mark.slow
def test_processes_that_share_the_images_explain_as_one_does(
    tiny: Any, own_truth: tuple[str, ...], script: Command, tmp_path: Path
) -> None:
    for processes in (1, 2):
        words = ("--checkpoint", tiny.lively, *own_truth, "-o", tmp_path / str(processes), "--explain")
        script("test.py", "ctdet", *words, processes=processes)
    one, two = (explained(tmp_path / str(processes)) for processes in (1, 2))
    for tree in (one, two):
        tree["results"].pop("protocol")
    assert one == two


@pytest.mark.slow
def test_a_file_without_maps_is_explained_as_far_as_detections_go(
    tiny: Any, own_truth: tuple[str, ...], centernet: Command, tmp_path: Path
) -> None:
    trees = {}
    for name, typed in {"maps": (), "boxes": ("--decode",)}.items():
        file = tmp_path / f"{name}.onnx"
        centernet("export", "--checkpoint", tiny.lively, "-o", file, *typed)
        ended = centernet("test", "--checkpoint", file, *own_truth, "-o", tmp_path / name, "--explain")
        trees[name] = explained(tmp_path / name)
        assert ("gives detections only" in ended.out) == (name == "boxes")
        assert ("gives detections only" in (tmp_path / name / "explain.html").read_text()) == (name == "boxes")
    assert [*trees["boxes"]["perfect"]] == ["classes"]
    assert [*trees["maps"]["perfect"]] == [*HEADS, "classes", "everything"]
    assert trees["boxes"]["mistakes"].keys() == trees["maps"]["mistakes"].keys()


def test_one_model_is_explained_at_a_time(tiny: Any, centernet: Command) -> None:
    ended = centernet("test", "--checkpoint_dir", tiny.checkpoints, "--data_dir", tiny.data, "--explain", code=2)
    assert "--explain is about one model" in ended.err


def test_a_program_explains_as_the_command_does(tiny: Any, tmp_path: Path) -> None:
    found = package.evaluate(tiny.lively, data_dir=tiny.data, explain=tmp_path / "why")
    tree = explained(tmp_path / "why")
    assert tree["results"] == json.loads(json.dumps(found))
    assert "everything" in tree["perfect"]
    opened = package.load(tiny.lively, runtime="nnabla")
    with pytest.raises(ConfigError, match=r"opened without its maps; open it with centernet.load\(..., with_maps=True\)"):
        package.evaluate(opened, data_dir=tiny.data, explain=tmp_path / "not")
    assert not (tmp_path / "not").exists()
