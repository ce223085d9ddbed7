"""Put a configuration's parts together: data set, task, network, and what the model will say of itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nnabla as nn
from pydantic.dataclasses import dataclass as pydantic_dataclass

from centernet import config as configuration
from centernet import plugins
from centernet.config import Tree
from centernet.data.datasets.base import DetectionDataset, Split
from centernet.data.pipeline import COLOR, IMAGE
from centernet.errors import STRICT, ConfigError, DataError
from centernet.experiment.description import Description
from centernet.experiment.schema import DataConfig, ExperimentConfig, ModelConfig, TaskSection
from centernet.models.color import network_input
from centernet.models.network import Network
from centernet.models.ops import BatchNorm
from centernet.models.precision import in_float
from centernet.models.specs import Layout
from centernet.structures import ClassTable, Grid, Normalization
from centernet.tasks.base import Task

DATASETS = "centernet.data.datasets"
TASKS = "centernet.tasks"
DESCRIBED = ("task", "data", "model")  # the sections of an experiment that a model file repeats


@dataclass(frozen=True)
class Assembly:
    """A task and its network, which owns its parameters; `grid` is the input the network is made for."""

    task: Task
    network: Network
    grid: Grid
    description: Description

    def losses(
        self,
        inputs: dict[str, nn.Variable],
        *,
        training: bool,
        batch_stat: bool | None = None,
        frozen: Collection[str] = (),
        recompute: bool = False,
        normalise: BatchNorm | None = None,
    ) -> dict[str, nn.Variable]:
        """The circle closed: image in, losses out, in float32; where the inputs have matrices of colour, the image is bytes."""
        image, network = inputs[IMAGE], self.network
        if COLOR in inputs:
            image = network_input(image, inputs[COLOR], layout=network.layout, channels=network.input_channels)
        outputs = network(image, training=training, batch_stat=batch_stat, frozen=frozen, recompute=recompute, normalise=normalise)
        with nn.context_scope(in_float(nn.get_current_context())):
            return dict(self.task.losses(outputs, inputs))


def open_split(data: DataConfig, split: Split) -> DetectionDataset:
    """One split of the configured data set.

    Raises:
        DataError: no root folder is given, or what the data set itself raises.
    """
    name = plugins.name_of(data.dataset)
    if data.root is None:
        raise DataError(f"data set '{name}': its folder is not given; use --data_dir DIR, or data.root in the configuration")
    opened: DetectionDataset = plugins.load(DATASETS, name).open_split(data.dataset, Path(data.root).expanduser(), split)
    return opened


def assemble(config: ExperimentConfig, classes: ClassTable, normalization: Normalization) -> Assembly:
    """Task and network of an experiment on a data set with these classes and colours.

    Raises:
        ConfigError: the network does not take the input size, or its parts do not fit.
    """
    precision = config.train.precision
    layout: Layout = "nhwc" if precision.channel_last else "nchw"
    task, network = _build(config.task, config.model, classes, layout=layout, channels=precision.pad_input_to, seed=config.train.seed)
    grid = grid_for(network, config.data.input_size)
    tree = configuration.to_tree(config)
    sections: Tree = {section: dict(tree[section]) for section in DESCRIBED}
    sections["data"].pop("root")
    sections["data"].pop("cache")
    description = Description(
        experiment=sections,
        class_names=classes.names,
        category_ids=classes.category_ids,
        input_size=(grid.height, grid.width),
        mean=normalization.mean,
        std=normalization.std,
        stride=grid.stride,
        layout=layout,
        input_channels=precision.pad_input_to,
    )
    return Assembly(task, network, grid, description)


def from_description(description: Description, *, source: str) -> Assembly:
    """Task and network of a model file; ConfigError if the file speaks of something this version does not have."""
    tree = {section: description.experiment.get(section, {}) for section in ("task", "model")}
    sections = configuration.validate(_NetworkSections, tree, source=f"{source} (its own description)")
    task, network = _build(
        sections.task, sections.model, description.classes, layout=description.layout, channels=description.input_channels, seed=0
    )
    return Assembly(task, network, grid_for(network, description.input_size), description)


def _build(task_config: Any, model: ModelConfig, classes: ClassTable, *, layout: Layout, channels: int, seed: int) -> tuple[Task, Network]:
    task: Task = plugins.load(TASKS, plugins.name_of(task_config)).build(task_config, classes, layout=layout)
    scope: OrderedDict[str, Any] = OrderedDict()  # of its own: two networks in one process never meet
    sections = (model.backbone, model.neck, model.head)
    return task, Network(*sections, task.heads, layout=layout, input_channels=channels, seed=seed, scope=scope)


def grid_for(network: Network, size: tuple[int, int], *, key: str = "data.input_size") -> Grid:
    """The grid of an input (height, width); ConfigError, which speaks of `key`, if the network does not take it."""
    try:
        network.input_shape(1, *size)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None
    return Grid(*size, network.stride)


@pydantic_dataclass(frozen=True, kw_only=True, config=STRICT)
class _NetworkSections:
    task: TaskSection
    model: ModelConfig
