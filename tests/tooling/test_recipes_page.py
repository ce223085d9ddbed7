"""docs/recipes.md: its examples are valid, and it has every key and value there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import get_args

import yaml

from centernet import config
from centernet.experiment.schema import ExperimentConfig
from centernet.tasks.ctdet import config as ctdet

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "recipes.md").read_text()


def examples() -> list[ctdet.Config]:
    """The page's sections `task`, in an experiment that is complete but for them."""
    rest = config.read_yaml(ROOT / "cfg" / "quickstart.yaml")
    found = []
    for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL):
        found.append(config.validate(ExperimentConfig, {**rest, **yaml.safe_load(text)}, source="docs/recipes.md").task)
    return found


def test_the_first_example_is_the_default_and_has_every_key() -> None:
    first = examples()[0]
    assert first == ctdet.Config()
    keys = {field.name for part in (ctdet.Config, ctdet.BoxesConfig, ctdet.LossConfig) for field in dataclasses.fields(part)}
    assert {key for key in keys if not re.search(rf"\b{key}:", TEXT.split("```")[1])} == {"max_objects"}


def test_the_others_are_what_they_are_called() -> None:
    (ttfnet,) = examples()[1:]
    assert (ttfnet.radius, ttfnet.boxes.form, ttfnet.boxes.at, ttfnet.loss.boxes) == ("ttf", "ltrb", "gaussian", "giou")


def test_the_table_has_every_value() -> None:
    kinds = (ctdet.RadiusRule, ctdet.Form, ctdet.Place, ctdet.Counting, ctdet.HeatmapLoss, ctdet.BoxLoss)
    assert [word for kind in kinds for word in get_args(kind) if f"`{word}`" not in TEXT] == []
