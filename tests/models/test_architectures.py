"""The names of networks: unique, complete, found again in a configuration, and suggested where one is misspelt."""

from __future__ import annotations

import dataclasses
import re

import pytest

from centernet import plugins
from centernet.errors import ConfigError
from centernet.models import architectures
from centernet.models.architectures import ALIASES, ARCHITECTURES, OPTIONS, USUAL
from centernet.models.network import BACKBONES, NECKS

OFFICIAL = (
    *(f"{family}_{depth}" for family in ("res", "resdcn") for depth in (18, 34, 50, 101, 152)),
    "dla_34",
    "dlav0_34",
    "dlav0_ida_34",
    "hourglass",
)


def test_every_backbone_and_every_neck_has_a_name() -> None:
    assert {one.backbone["name"] for one in ARCHITECTURES.values()} == set(plugins.names(BACKBONES))
    assert {one.neck["name"] for one in ARCHITECTURES.values()} == set(plugins.names(NECKS))


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_official_names_are_there_with_the_official_heads(name: str) -> None:
    assert architectures.get(name).hidden_channels == (64 if name.startswith("res") else 256)


def test_dlav0_34_is_the_predecessors_graph_and_the_official_one_has_another_name() -> None:
    assert architectures.get("dlav0_34").sections["backbone"]["name"] == "dlav0"
    official = architectures.get("dlav0_ida_34").sections
    assert (official["backbone"]["name"], official["neck"]["name"]) == ("dla", "dlav0_ida")


@pytest.mark.parametrize("name", [*ARCHITECTURES, *ALIASES])
def test_a_name_is_found_again_in_its_own_sections(name: str) -> None:
    one = architectures.get(name)
    assert architectures.find(one.sections) is one
    narrow = {part: {**section, "width": 0.25} for part, section in one.sections.items()}
    assert architectures.find(narrow) is one
    assert (one.family, one.num_layers) == (one.name, None) or one.num_layers in architectures.depths(one.family)


def test_a_head_of_its_own_tells_an_architecture_and_any_other_head_counts_as_the_plain_one() -> None:
    for name, twin in (("large_hourglass", "hourglass_104"), ("small_hourglass", "hourglass_52")):
        one = architectures.get(name).sections
        assert architectures.find({**one, "head": {"name": "conv"}}) is architectures.get(twin)
        assert architectures.find({**one, "head": {"name": "my_package:head"}}) is architectures.get(twin)
    assert architectures.find({**architectures.get("dla_34").sections, "head": {"name": "triplet"}}) is architectures.get("dla_34")
    assert architectures.find({**architectures.get("tiny_hourglass").sections, "head": {"name": "conv"}}) is None


def test_what_is_left_out_of_a_section_is_the_plugins_default() -> None:
    for package, name in [(BACKBONES, name) for name in plugins.names(BACKBONES)] + [(NECKS, name) for name in plugins.names(NECKS)]:
        defaults = {field.name: field.default for field in dataclasses.fields(plugins.load(package, name).Config)}
        assert USUAL.get(name, {}) == {option: defaults[option] for option in OPTIONS if option in defaults}


def test_a_pair_without_a_name_is_not_found() -> None:
    assert architectures.find({"backbone": {"name": "mobilenet_v2"}, "neck": {"name": "resdcn"}}) is None
    assert architectures.find({}) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resdcn_19", "did you mean 'resdcn_18'"),
        ("dla34", "did you mean 'dla_34'"),
        ("dla_60", "did you mean 'dla_34'"),
        ("res_20", "did you mean 'res_18'"),
        ("res_100", "did you mean 'res_101'"),
        ("RESDCN_18", "did you mean 'resdcn_18'"),
        ("Res_18", "did you mean 'res_18'"),
        ("hourglas", "did you mean 'hourglass'"),
        ("mobilenet_v3", "did you mean 'mobilenet_v3_large'"),
        ("yolo", "known: dla, dla_plain, dlav0, dlav0_ida, hourglass, large_hourglass, mobilenet_v2"),
    ],
)
def test_an_unknown_name_is_met_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"'{name}' is unknown; {re.escape(said)}"):
        architectures.get(name)
