"""Whatever key of an experiment is wrong, the error names its path, what was found and what fits."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from centernet import config
from centernet.errors import ConfigError
from centernet.experiment.schema import ExperimentConfig

CFG = Path(__file__).resolve().parents[2] / "cfg"
WRONG = ("zzz", -1, {"qqq": 1})  # of each key, most do not fit


def keys(tree: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in tree.items():
        yield f"{path}{name}"
        if isinstance(value, dict):
            yield from keys(value, f"{path}{name}.")


def whole() -> dict[str, Any]:
    """An experiment with every section there is."""
    tree = config.read_yaml(CFG / "quickstart.yaml")
    config.assign(tree, "train.moving_average", {})
    config.assign(tree, "train.early_stopping", {})
    config.assign(tree, "data.augment", {})
    return config.to_tree(config.validate(ExperimentConfig, tree, source="quickstart.yaml"))


def said_of(tree: Mapping[str, Any]) -> str:
    try:
        config.validate(ExperimentConfig, tree, source="x.yaml")
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("section", ["task", "data", "model", "train", "test"])
def test_a_wrong_value_is_named_with_its_path_and_what_fits(section: str) -> None:
    tree = whole()
    paths = [path for path in keys(tree) if path.startswith(f"{section}.")]
    num_refused = 0
    for path in paths:
        for value in WRONG:
            changed = copy.deepcopy(tree)
            config.assign(changed, path, value)
            said = said_of(changed)
            if not said:
                continue
            num_refused += 1
            section_path, _, key = path.rpartition(".")
            where = (
                f"x.yaml: {path}",
                f"x.yaml: {section_path}: {'' if key == 'name' else key}",
            )  # the latter where keys do not fit each other
            for line in said.splitlines():
                assert line.startswith(where), (path, value, line)
                assert re.search("unknown key|is missing|expected|known: ", line), (path, value, line)
                assert isinstance(value, dict) or str(value) in line, (path, value, line)
    assert num_refused > 2 * len(paths)
