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
    return assemble(config, *known_of(config.data)).description


def known_of(data: DataConfig) -> tuple[ClassTable, Normalization]:
    """A data set's own classes and colours where its folder is given, else those that it declares or is published with.

    Raises:
        ConfigError: they are not known without the data.
    """
    if data.root is not None:
        opened = open_split(data, "val")
        return opened.classes, opened.normalization
    classes = _declared_classes(data)
    if not (hasattr(data.dataset, "mean") and hasattr(data.dataset, "std")):  # one of a user's own need not have them
        name = plugins.name_of(data.dataset)
        raise ConfigError(f"mean and std of data set '{name}' are not known without its files; give --data_dir")
    return classes, Normalization(data.dataset.mean, data.dataset.std)


def _declared_classes(data: DataConfig) -> ClassTable:
    declared = getattr(data.dataset, "classes", None)  # not every data set lets them be chosen
    if declared is not None:
        return ClassTable(tuple(declared))
    name = plugins.name_of(data.dataset)
    if name not in PUBLISHED:
        raise ConfigError(f"the classes of data set '{name}' are not known without its files; give --data_dir")
    return PUBLISHED[name]
