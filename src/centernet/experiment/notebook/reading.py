"""Which experiment a program means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

from centernet import config as configuration
from centernet.experiment import choice as choices
from centernet.experiment.choice import Choice
from centernet.experiment.schema import ExperimentConfig

Source = Union[str, Path, Mapping[str, Any], ExperimentConfig]  # noqa: UP007 - evaluated, as ExperimentConfig | is not
Settings = Mapping[str, Any]


def read(config: Source, *, data_dir: str | Path | None = None, settings: Settings | None = None) -> ExperimentConfig:
    """The experiment, validated.

    Args:
        config: a YAML file, the same as a mapping, or what this function returned before.
        data_dir: the data set's folder, as `--data_dir`.
        settings: dotted key -> value, as `--set`: `{"train.epochs": 10}`.

    Raises:
        ConfigError: what is wrong, with the key's path.
    """
    typed = Choice(keys=keys(data_dir, settings))
    if isinstance(config, (str, Path)):
        return choices.experiment(Choice(yaml=Path(config).expanduser(), keys=typed.keys))
    tree = config if isinstance(config, Mapping) else configuration.to_tree(config)
    return choices.from_tree(typed, tree, source="config")


def keys(data_dir: str | Path | None, settings: Settings | None) -> dict[str, Any]:
    """Dotted key -> value, paths as texts."""
    found = {key: str(value) if isinstance(value, Path) else value for key, value in (settings or {}).items()}
    return found if data_dir is None else {"data.root": str(data_dir), **found}
