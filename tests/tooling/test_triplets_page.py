"""docs/triplets.md: its example is valid, and it has every key there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import yaml

from centernet import config
from centernet.experiment.schema import ExperimentConfig
from centernet.geometry.nms import SoftNms
from centernet.tasks.triplet import Config

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "triplets.md").read_text()


def test_the_example_is_the_default_and_has_every_key() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    rest = config.read_yaml(ROOT / "cfg" / "quickstart.yaml")
    assert config.validate(ExperimentConfig, {**rest, **yaml.safe_load(example)}, source="docs/triplets.md").task == Config()
    keys = {field.name for part in (Config, SoftNms) for field in dataclasses.fields(part)}
    assert {key for key in keys if not re.search(rf"\b{key}:", example)} == set()


def test_all_losses_are_there() -> None:
    named = re.findall(r"^\| `(\w+)` \|", TEXT.partition("## Losses")[2], re.MULTILINE)
    assert [f"{name}_weight" for name in named] == [field.name for field in dataclasses.fields(Config) if field.name.endswith("_weight")]
