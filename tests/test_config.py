"""Reading, overriding and validating YAML."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from pydantic.dataclasses import dataclass

from centernet import config
from centernet.errors import STRICT, ConfigError, OutputError
from centernet.plugins import plugin_config

BackboneSection: Any = plugin_config("centernet.models.backbones")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Schedule:
    base_lr: Annotated[float, Field(gt=0)]
    kind: Literal["cosine", "step"] = "cosine"

    def __post_init__(self) -> None:
        if self.kind == "step" and self.base_lr > 1:
            raise ValueError("base_lr: is at most 1 with step")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Experiment:
    schedule: Schedule
    backbone: BackboneSection
    size: tuple[int, int] = (2, 3)
    name: str | None = None
    later: tuple[Schedule, ...] = ()

    def __post_init__(self) -> None:
        if self.size[0] > self.size[1]:
            raise ValueError("size is (small, large)")


GOOD = {"schedule": {"base_lr": 5e-4}, "backbone": {"name": "resnet", "num_layers": 34}, "size": [4, 5]}


def write(folder: Path, text: str) -> Path:
    path = folder / "x.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("text", "value"), [("5e-4", 5e-4), ("1E3", 1e3), ("-2.5e+1", -25.0), (".5e-1", 0.05), ("2", 2), ("1.0", 1.0)])
def test_numbers_are_numbers_also_with_an_exponent(tmp_path: Path, text: str, value: float) -> None:
    assert config.read_yaml(write(tmp_path, f"a: {text}")) == {"a": value}


@pytest.mark.parametrize("text", ["e5", "5e", "1e2e3", "abc"])
def test_what_only_looks_like_a_number_stays_text(tmp_path: Path, text: str) -> None:
    assert config.read_yaml(write(tmp_path, f"a: {text}")) == {"a": text}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n? [b]\n: 2\n", r"x.yaml:2: not valid YAML: found the key \['b'\], expected a name"),
        ("a: 1\n2: 3\n", "x.yaml:2: not valid YAML: found the key 2, expected a name"),
        ("a: 1\na: 2\n", "x.yaml:2: .*'a' appears twice"),
        ("a: [1\n", "x.yaml:2: not valid YAML"),
        ("", "found nothing"),
        ("- 1", "found list"),
    ],
)
def test_a_file_that_is_no_configuration_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.read_yaml(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml: no such configuration file"):
        config.read_yaml(tmp_path / "nothing.yaml")


def test_a_valid_tree_becomes_frozen_objects_and_back() -> None:
    experiment = config.validate(Experiment, GOOD, source="x")
    assert experiment.schedule == Schedule(base_lr=5e-4)
    assert experiment.backbone.num_layers == 34
    assert config.validate(Experiment, config.to_tree(experiment), source="y") == experiment


def test_a_written_tree_reads_back(tmp_path: Path) -> None:
    tree = config.to_tree(config.validate(Experiment, GOOD, source="x"))
    config.write_yaml(tree, tmp_path / "resolved.yaml")
    assert config.read_yaml(tmp_path / "resolved.yaml") == tree


def test_an_unwritable_copy_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        config.write_yaml({}, tmp_path / "missing" / "x.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schedul": {}}, r"x: schedul: unknown key; did you mean 'schedule'\?"),
        ({"schedule": {"base_lr": "5"}}, r"x: schedule.base_lr: found '5' \(str\), expected a valid number"),
        ({"schedule": {"base_lr": -1}}, r"schedule.base_lr: found -1 \(int\), expected greater than 0"),
        ({"schedule": {"base_lr": True}}, r"schedule.base_lr: found True \(bool\)"),
        ({"schedule": {}}, r"schedule.base_lr: is missing"),
        ({"schedule": 3}, r"schedule: expected a section with keys, found 3"),
        ({"schedule": {"base_lr": 1, "kind": "cosin"}}, r"schedule.kind: found 'cosin' \(str\), expected 'cosine' or 'step'"),
        ({"later": [{"base_lr": 1}, {"base_l": 1}]}, r"x: later.1.base_l: unknown key; did you mean 'base_lr'\?"),
        ({"size": [1]}, r"size.1: is missing"),
        ({"size": [1, 2, 3]}, r"size: found \[1, 2, 3\] \(list\), expected at most 2 items$"),
        ({"size": [3, 2]}, r"size is \(small, large\)"),
        ({"size": 3}, r"size: found 3 \(int\), expected a list such as \[a, b\]$"),
        ({"schedule": {"base_lr:1": None}}, r"x: schedule.base_lr:1: unknown key; YAML wants a space after the colon: 'base_lr: 1'"),
        ({"schedule": {"base_lr": 2, "kind": "step"}}, "^x: schedule.base_lr: is at most 1 with step$"),
        ({"backbone": {"name": "resnt"}}, r"backbone: backbones: 'resnt' is not there; did you mean 'resnet'\?"),
        ({"backbone": {"name": "resnet", "layers": 18}}, r"backbone.layers: unknown key; did you mean 'num_layers'\?"),
        ({"backbone": {"name": "resnet", "num_layers": 19}}, r"backbone.num_layers: found 19 \(int\), expected 18, 34, 50, 101 or 152"),
        ({"backbone": "resnet"}, r"backbone: expected a section with a 'name'"),
        ({"backbone": {}}, r"backbone: 'name' is missing; known: .*resnet"),
        ({"name": {1, 2}}, r"x: name: found \{1, 2\}, which YAML may write but a configuration may not"),
        ({"schedule": {"base_lr": float("inf")}}, "x: schedule.base_lr: found inf, which YAML may write"),
        ({"size": [1, date(2020, 1, 2)]}, r"x: size.1: found datetime.date\(2020, 1, 2\)"),
    ],
)
def test_a_mistake_is_named_with_its_path_and_what_was_expected(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.validate(Experiment, {**GOOD, **change}, source="x")


def test_all_mistakes_are_listed_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        config.validate(Experiment, {"schedule": {"base_lr": 0}, "backbone": {"name": "x"}, "extra": 1}, source="x")
    assert len(str(caught.value).splitlines()) == 3


def test_a_wrong_part_is_named_without_its_whole() -> None:
    with pytest.raises(ConfigError) as caught:
        config.validate(Experiment, {**GOOD, "size": [1, "2"]}, source="x")
    assert str(caught.value) == "x: size.1: found '2' (str), expected a valid integer"


@pytest.mark.parametrize("where", ["arguments", "more"])
def test_a_value_of_none_of_several_types_is_one_mistake_of_its_own_key(where: str) -> None:
    @dataclass(frozen=True, kw_only=True, config=STRICT)
    class Either:
        arguments: dict[str, bool | int] = Field(default_factory=dict)
        more: tuple[bool | int, ...] = ()

    wrong: dict[str, Any] = {"arguments": {"a": 1, "b": "x"}} if where == "arguments" else {"more": [1, "x"]}
    with pytest.raises(ConfigError) as caught:
        config.validate(Either, wrong, source="x")
    key = "arguments.b" if where == "arguments" else "more.1"
    assert str(caught.value) == f"x: {key}: found 'x' (str), expected a valid boolean or a valid integer"


def test_a_section_inside_itself_is_named() -> None:
    tree: dict[str, Any] = {**GOOD}
    tree["schedule"] = tree
    with pytest.raises(ConfigError, match="x: schedule: found 'a section inside itself'"):
        config.validate(Experiment, tree, source="x")


def test_overrides_set_values_of_every_kind_and_leave_the_original_alone() -> None:
    tree = {"a": {"b": 1}}
    changed = config.override(tree, ["a.b=5e-1", "a.c=[1, 2]", "d.e.f=null", "g=text"])
    assert changed == {"a": {"b": 0.5, "c": [1, 2]}, "d": {"e": {"f": None}}, "g": "text"}
    assert tree == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("assignment", "said"), [("a", "expected KEY.KEY=VALUE"), ("a..b=1", "KEY.KEY"), ("a.b=1", "is a value"), ("c=[", "not a YAML")]
)
def test_a_bad_override_is_explained(assignment: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config.override({"a": 1}, [assignment])


def test_merging_keeps_other_keys_unless_another_plugin_is_named() -> None:
    base = {"backbone": {"name": "resnet", "num_layers": 34}, "size": [1, 2]}
    assert config.merge(base, {"backbone": {"width": 0.5}})["backbone"] == {"name": "resnet", "num_layers": 34, "width": 0.5}
    assert config.merge(base, {"backbone": {"name": "dlav0"}})["backbone"] == {"name": "dlav0"}


def test_another_programs_yaml_is_read_as_it_is_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("names: {0: cat, 1: dog}\n")
    assert config.read_foreign_yaml(path) == {"names": {0: "cat", 1: "dog"}}
    path.write_text("names: {0: cat\n")
    assert config.read_foreign_yaml(path) is None
    assert config.read_foreign_yaml(tmp_path / "gone.yaml") is None
