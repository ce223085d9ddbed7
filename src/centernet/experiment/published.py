"""What a parameter file without a description holds, as the command line or a YAML file names it."""

from __future__ import annotations

from dataclasses import replace

from centernet import plugins
from centernet.data.class_tables import PUBLISHED
from centernet.errors import ConfigError
from centernet.experiment import choice as choices
from centernet.experiment.assembly import assemble, open_split
from centernet.experiment.choice import Choice
from centernet.experiment.description import Description
from centernet.experiment.schema import DataConfig, ExperimentConfig
from centernet.structures import ClassTable, Normalization


def describe(choice: Choice) -> Description:
    """The description such a file would hold.

    The classes are the data set's own where its folder is given, else those of the published models.

    Raises:
        ConfigError: the choice is wrong, or its classes are not known without the data.
    """
    keys = {key: value for key, value in choice.keys.items() if not key.startswith("train.")}
    return described(choices.experiment(replace(choice, keys=keys)))


def described(config: ExperimentConfig) -> Description:
    """The description of a file of this experiment; ConfigError where its classes are not known without the data."""
    classes = classes_of(config.data)
    dataset = config.data.dataset
    return assemble(config, classes, Normalization(dataset.mean, dataset.std)).description


def classes_of(data: DataConfig) -> ClassTable:
    """A data set's own classes where its folder is given, else those that it declares or is published with.

    Raises:
        ConfigError: they are not known without the data.
    """
    if data.root is not None:
        return open_split(data, "val").classes
    declared = getattr(data.dataset, "classes", None)  # not every data set lets them be chosen
    if declared is not None:
        return ClassTable(tuple(declared))
    name = plugins.name_of(data.dataset)
    if name not in PUBLISHED:
        raise ConfigError(f"the classes of data set '{name}' are not known without its files; give --data_dir")
    return PUBLISHED[name]
