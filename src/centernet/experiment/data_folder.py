"""Where a data set lies that no option and no file names: where a training had it, or in the official system's layout."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from centernet import config as configuration
from centernet import plugins
from centernet.engine import launcher
from centernet.experiment.schema import ExperimentConfig

LOG = logging.getLogger(__name__)
OFFICIAL_FOLDERS = {"coco": Path("data/coco"), "voc": Path("data/voc")}  # below the current folder, as its DATA.md says
RECORD = "config.yaml"  # of a training's output folder


def with_data_folder(config: ExperimentConfig, *, training: Path | None = None) -> ExperimentConfig:
    """The experiment with a folder for its data where it names none and one can be told; which one is said in a line.

    Args:
        training: output folder of the training that is gone on with or whose model is measured; its own data come first.

    Raises:
        ConfigError: the training's configuration cannot be read.
    """
    if config.data.root is not None:
        return config
    found, why = _recorded(config, training), f"as {training}/{RECORD} says"
    if found is None:
        found, why = _official(config), "the official system's layout in the current folder"
    if found is None:
        return config
    if launcher.rank() == 0:
        LOG.info("data: %s, %s; --data_dir names another", found, why)
    return replace(config, data=replace(config.data, root=str(found)))


def _recorded(config: ExperimentConfig, training: Path | None) -> Path | None:
    """The folder a training had its data in, if it is there and its data set is the experiment's."""
    if training is None or not (training / RECORD).is_file():
        return None
    data = configuration.read_yaml(training / RECORD).get("data", {})
    root, name = data.get("root"), data.get("dataset", {}).get("name")
    if root is None or name != plugins.name_of(config.data.dataset):
        return None
    found = Path(root).expanduser()
    return found if found.is_dir() else None


def _official(config: ExperimentConfig) -> Path | None:
    """The data set's folder in the official layout, if the annotations that the configuration names are in it."""
    folder = OFFICIAL_FOLDERS.get(plugins.name_of(config.data.dataset))
    if folder is None:
        return None
    annotations = config.data.dataset.val.annotations
    return folder if annotations is not None and (folder / annotations).is_file() else None
