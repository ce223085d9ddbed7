"""Which experiment a command line means: YAML file, the family's words, single keys, or what a model file says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from centernet import config as configuration
from centernet import plugins
from centernet.config import Tree
from centernet.errors import ConfigError
from centernet.experiment import family, published_tasks
from centernet.experiment.assembly import TASKS
from centernet.experiment.schema import ExperimentConfig
from centernet.models import architectures

FAMILY_WORDS = ("dataset", "arch", "num_layers", "head_conv", "mixed_precision", "channel_last")
COMMAND_LINE = "command line"
TRAIN_DEFAULTS: dict[str, Tree] = {
    "coco": {"epochs": 140, "batch_size": 32, "schedule": {"lr_steps": [90, 120]}},
    "pascal": {"epochs": 70, "batch_size": 32, "schedule": {"lr_steps": [45, 60]}},
}
# What the official system does where nothing is said; the architectures of its names, and ours, are trained so.
OFFICIAL_DEFAULTS: Tree = {"schedule": {"kind": "step", "base_lr": 1.25e-4, "warmup_epochs": 0}}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was typed. yaml: `--train-config`. words: the family's options that were typed, by name (`FAMILY_WORDS`).

    keys: dotted configuration key → value, from options. flags: the same keys → the options that set them. assignments: texts of
    `--set`. input_size: (height, width).
    start: what the model file that a training starts from says of its experiment; it counts where no network was typed.
    """

    task: str | None = None
    yaml: Path | None = None
    words: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    assignments: Sequence[str] = ()
    input_size: tuple[int, int] | None = None
    start: Mapping[str, Any] | None = None

    @property
    def names_a_network(self) -> bool:
        """Whether enough was typed to build a network without a file's own description."""
        return self.yaml is not None or self.start is not None or "arch" in self.words or "dataset" in self.words


def task_names() -> list[str]:
    """The task words there are."""
    return plugins.names(TASKS)


def experiment(choice: Choice) -> ExperimentConfig:
    """The experiment that was asked for, validated.

    Raises:
        ConfigError: nothing names a network, a typed option contradicts the YAML, or a value is wrong.
    """
    tree, source = _base(choice)
    config = from_tree(choice, tree, source=source)
    if choice.yaml is not None:
        check_agreement(choice, configuration.to_tree(config), source)
    check_task(choice.task, configuration.to_tree(config), source=source)
    return config


def from_tree(choice: Choice, tree: Mapping[str, Any], *, source: str) -> ExperimentConfig:
    """The experiment of a whole tree, with the typed keys on top."""
    _check_task_options(choice, tree)
    tree = _with_input_size(tree, choice)
    for key, value in choice.keys.items():
        configuration.assign(tree, key, value)
    tree = configuration.override(tree, choice.assignments)
    _settle_batch_size(tree, choice)
    return configuration.validate(ExperimentConfig, tree, source=source)


def from_description(choice: Choice, described: Mapping[str, Any], *, source: str) -> ExperimentConfig:
    """The experiment a model file was trained in, with the typed keys on top; typed words must agree with it."""
    check_agreement(choice, described, source)
    check_task(choice.task, described, source=source)
    return from_tree(choice, {**described, "train": {"batch_size": 1}}, source=source)


def _check_task_options(choice: Choice, tree: Mapping[str, Any]) -> None:
    """ConfigError where an option was typed that is of another task than the experiment's; all of them are named."""
    task = tree.get("task", {}).get("name")
    if not isinstance(task, str) or task not in task_names():
        return  # a task of one's own, or a mistake that is told with the others
    known = {one.name for one in fields(plugins.load(TASKS, task).Config)}
    typed = [choice.flags.get(key, key) for key in choice.keys if key.startswith("task.") and key.split(".")[1] not in known]
    if typed:
        raise ConfigError(f"{', '.join(dict.fromkeys(typed))}: of another task; '{task}' has nothing like it, leave it out")


def _settle_batch_size(tree: Tree, choice: Choice) -> None:
    """A batch size that was typed replaces the file's, whichever of the two kinds that has."""
    for typed, other in (("batch_size", "global_batch_size"), ("global_batch_size", "batch_size")):
        if f"train.{typed}" in choice.keys:
            tree["train"].pop(other, None)


def check_task(typed: str | None, tree: Mapping[str, Any], *, source: str) -> None:
    """ConfigError where the task word names another task than the configuration or the file."""
    own = tree.get("task", {}).get("name")
    if typed is not None and typed != own:
        raise ConfigError(f"task '{typed}' was asked for, but {source} is for task '{own}'")


def _base(choice: Choice) -> tuple[Tree, str]:
    if choice.yaml is not None:
        source = str(choice.yaml)
        tree = configuration.read_yaml(choice.yaml)
        if family.is_predecessors(tree):
            tree = _with_hidden_channels(family.translate(tree, source=source), choice)  # which its files cannot say
        return tree, source
    if not choice.names_a_network:
        raise ConfigError("which experiment? Give --train-config FILE.yaml, or --dataset and --arch (`centernet models` lists its names)")
    words = choice.words
    tree = _with_hidden_channels(_preset(choice.task, words) if choice.start is None else _of_start(choice.start, words), choice)
    precision = {**(family.MIXED_PRECISION if words.get("mixed_precision") else {})}
    if words.get("mixed_precision"):
        precision["loss_scaling"] = {"scale": 4, "dynamic": True}
    if words.get("channel_last"):
        precision["channel_last"] = True
    tree["train"]["precision"] = precision
    return tree, COMMAND_LINE


def _preset(task: str | None, words: Mapping[str, Any]) -> Tree:
    """The sections that the family's words mean, and how such networks are trained."""
    dataset, arch = words.get("dataset", "coco"), words.get("arch", "resnet")
    preset = family.preset(dataset, arch, words.get("num_layers"), task=task)  # which knows the words
    train = configuration.merge(TRAIN_DEFAULTS[dataset], {} if family.is_predecessors_word(arch) else OFFICIAL_DEFAULTS)
    return configuration.merge({"train": train}, preset)


def _of_start(start: Mapping[str, Any], words: Mapping[str, Any]) -> Tree:
    """The sections of the model file that a training starts from, or the typed data set with its network, trained as official ones are."""
    dataset = words.get("dataset", family.words(start)["dataset"])
    task = start["task"]["name"]
    own_data = {"data": family.preset(dataset, "resnet", task=task)["data"]} if "dataset" in words else {}
    train = configuration.merge(TRAIN_DEFAULTS.get(dataset, TRAIN_DEFAULTS["coco"]), OFFICIAL_DEFAULTS)
    return {**start, **own_data, "train": configuration.merge(train, published_tasks.published(task).get("train", {}))}


def _with_hidden_channels(tree: Tree, choice: Choice) -> Tree:
    typed = choice.words.get("head_conv", -1)
    return configuration.merge(tree, {"model": {"head": {"hidden_channels": typed}}}) if typed >= 0 else tree


def _with_input_size(tree: Mapping[str, Any], choice: Choice) -> Tree:
    tree = configuration.override(dict(tree), [])  # a copy
    if choice.input_size is not None:
        configuration.assign(tree, "data.input_size", list(choice.input_size))
    return tree


def check_agreement(choice: Choice, tree: Mapping[str, Any], source: str) -> None:
    """ConfigError where a typed word of the family contradicts the tree of a YAML or model file."""
    said = family.words(tree)
    typed = {**choice.words}
    if "arch" in typed:
        said, typed = _in_typed_words(said, typed, tree)
    lines = [
        f"--{word} {choice.words[word]} was typed, but {source} says {word} {value}; leave the option out, or use another file"
        for word, value in said.items()
        if typed.get(word) not in (None, -1, value)
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def _in_typed_words(said: Mapping[str, Any], typed: Mapping[str, Any], tree: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The words of a tree and those that were typed, the architecture in the terms that were typed: a whole name, or a family.

    Raises:
        ConfigError: the architecture that was typed is unknown.
    """
    asked = family.architecture(typed["arch"], typed.get("num_layers"))
    if family.is_name(typed["arch"]):
        own = architectures.find(tree["model"])
        if own and asked.head == architectures.PLAIN_HEAD and (own.backbone, own.neck) == (asked.backbone, asked.neck):
            own = asked  # the name of its backbone, whatever heads its task has
        return {**said, "arch": own.name if own else said["arch"]}, {**typed, "arch": asked.name, "num_layers": None}
    return dict(said), {**typed, "arch": family.words({"model": asked.sections})["arch"]}
