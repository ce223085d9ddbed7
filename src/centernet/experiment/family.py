"""The family's words for an experiment (`--dataset pascal --arch dlav0 --num_layers 34`, the predecessor's YAML) as ours.

Here, and only here, the predecessor's names are known: this is the mapping table at the border.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from centernet import config, plugins
from centernet.config import Tree
from centernet.errors import ConfigError, did_you_mean
from centernet.experiment import published_tasks
from centernet.models import architectures
from centernet.models.architectures import Architecture

# The predecessor's words for an architecture, and the families they are here.
PREDECESSORS = {"resnet": "res", "dlav0": "dlav0"}
ARCHITECTURES: dict[str, dict[str, Any]] = {word: {"layers": architectures.depths(family)} for word, family in PREDECESSORS.items()}

# What each family of data sets fixes besides its files.
DATASETS: dict[str, Tree] = {
    "coco": {"dataset": {"name": "coco"}, "input_size": [512, 512]},
    "pascal": {"dataset": {"name": "voc"}, "input_size": [384, 384]},
}

# The predecessor's YAML keys and ours. None: read, and without a meaning here.
PREDECESSOR_KEYS: dict[str, str | None] = {
    "dataset.dataset": None,  # with arch and num_layers it chooses the sections above
    "model.arch": None,
    "model.num_layers": None,
    "model.pretrained_model_dir": "model.pretrained_model_dir",
    "train.num_epochs": "train.epochs",
    "train.batch_size": "train.batch_size",
    "learning_rate_config.scheduler_type": "train.schedule.kind",
    "learning_rate_config.base_lr": "train.schedule.base_lr",
    "learning_rate_config.warmup_epochs": "train.schedule.warmup_epochs",
    "learning_rate_config.epochs": "train.schedule.epochs",
    "learning_rate_config.lr_steps": "train.schedule.lr_steps",
    "learning_rate_config.decay_rate": "train.schedule.decay_rate",
    "mixed_precision.mixed_precision": None,
    "mixed_precision.channel_last": "train.precision.channel_last",
    "mixed_precision.loss_scaling": "train.precision.loss_scaling.scale",
    "mixed_precision.use_dynamic_loss_scaling": "train.precision.loss_scaling.dynamic",
}
NAMED_BY = ("dataset.dataset", "model.arch", "model.num_layers")  # in the predecessor's YAML
WORDS = ("--dataset", "--arch", "--num_layers")  # on the command line
PREDECESSOR_SECTIONS = ("dataset", "learning_rate_config", "mixed_precision")
MIXED_PRECISION: Tree = {"compute": "half", "pad_input_to": 4}  # what the predecessor's one flag switches on


def preset(dataset: object, arch: object, num_layers: object = None, *, task: str | None = None, said: Sequence[str] = WORDS) -> Tree:
    """The sections `task`, `data` and `model` of a published experiment, and what else the task's published ones have.

    Args:
        task: None: that which networks of this architecture are published for.
        said: what to call the first three in messages.

    Raises:
        ConfigError: dataset or architecture is unknown, the architecture is not built that deep, or not for the task.
    """
    known, one = _known(dataset, DATASETS, said[0]), architecture(arch, num_layers, said=said)
    own = published_tasks.of_head(one.head)
    if one.head != architectures.PLAIN_HEAD and task not in (None, own):
        raise ConfigError(f"{said[1]}: {arch} is for task '{own}', and task '{task}' was asked for")
    tree: Tree = {"task": {"name": task or own}, "data": dict(DATASETS[known]), "model": one.sections}
    return config.merge(tree, published_tasks.published(tree["task"]["name"]))


def _known(name: object, table: Mapping[str, Any], said: str) -> str:
    if not isinstance(name, str) or name not in table:
        raise ConfigError(f"{said}: '{name}' is unknown{did_you_mean(str(name), table)}")
    return name


def architecture(arch: object, num_layers: object = None, *, said: Sequence[str] = WORDS) -> Architecture:
    """What `--arch` and `--num_layers` name: a whole name (`resdcn_18`), or a family (`resdcn`, `resnet`) and its depth.

    Args:
        num_layers: None: the family's usual one. said: as in `preset`.

    Raises:
        ConfigError: there is no such architecture, or it is not built that deep.
    """
    if not isinstance(arch, str):
        raise ConfigError(f"{said[1]}: '{arch}' is unknown{architectures.nearest(str(arch), *PREDECESSORS)}")
    family = PREDECESSORS.get(arch, arch)
    depths = architectures.depths(family)
    if depths:
        depth = depths[0] if num_layers is None else num_layers
        if depth not in depths:
            raise ConfigError(f"{said[2]}: found {num_layers!r}, but {arch} is built with {', '.join(map(str, depths))} layers")
        return architectures.get(f"{family}_{depth}")
    if not is_name(arch):
        raise ConfigError(f"{said[1]}: '{arch}' is unknown{architectures.nearest(arch, *PREDECESSORS)}")
    found = architectures.get(arch)
    if num_layers not in (None, found.num_layers):
        raise ConfigError(f"{said[2]}: found {num_layers!r}, but {said[1]} {arch} says how deep it is; leave {said[2]} out")
    return found


def is_predecessors_word(arch: object) -> bool:
    """Whether the predecessor has networks of this name."""
    return arch in PREDECESSORS or arch in {f"{word}_{depth}" for word, row in ARCHITECTURES.items() for depth in row["layers"]}


def is_name(arch: object) -> bool:
    """Whether a word is the whole name of an architecture, its depth included."""
    return arch in architectures.ARCHITECTURES or arch in architectures.ALIASES


def words(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What the family calls the data set, architecture, depth and hidden channels of an experiment's tree; None where it has no word.

    The precision too, where the tree says how to train: a model file runs in any.
    """
    data = tree.get("data", {}).get("dataset", {}).get("name")
    model = tree.get("model", {})
    return {
        "dataset": next((word for word, sections in DATASETS.items() if sections["dataset"]["name"] == data), data),
        **_architecture_words(model),
        "head_conv": model.get("head", {}).get("hidden_channels"),
        **_precision_words(tree),
    }


def _architecture_words(model: Mapping[str, Any]) -> dict[str, Any]:
    """The predecessor's words where it has them; of what has no name, those of the plug-ins."""
    found = architectures.find(model)
    if found is not None:
        word = next((word for word, family in PREDECESSORS.items() if family == found.family), found.family)
        return {"arch": word, "num_layers": found.num_layers}
    parts = [plugins.short_name(model.get(part, {}).get("name") or "") for part in ("backbone", "neck")]
    return {"arch": "_".join(filter(None, parts)) or None, "num_layers": model.get("backbone", {}).get("num_layers")}


def short_name(tree: Mapping[str, Any]) -> str:
    """`resnet_18`: what files of an experiment's network are called."""
    named = words(tree)
    return "_".join(str(named[word]) for word in ("arch", "num_layers") if named[word] is not None)


def _precision_words(tree: Mapping[str, Any]) -> dict[str, bool]:
    if "train" not in tree:
        return {}
    precision = tree["train"].get("precision", {})
    return {"mixed_precision": precision.get("compute") == "half", "channel_last": bool(precision.get("channel_last"))}


def is_predecessors(tree: Mapping[str, Any]) -> bool:
    """Whether a YAML tree is written in the predecessor's keys, and not in ours with one of them by mistake."""
    return any(section in tree for section in PREDECESSOR_SECTIONS) and not {"task", "data"} & tree.keys()


def translate(tree: Mapping[str, Any], *, source: str) -> Tree:
    """A predecessor's YAML tree as ours.

    Raises:
        ConfigError: a key that the predecessor does not know either, or a missing one; the text names it and `source`.
    """
    given = _flatten(tree, source)
    unknown = [key for key in given if key not in PREDECESSOR_KEYS]
    if unknown:
        raise ConfigError("\n".join(f"{source}: {key}: unknown key{did_you_mean(key, PREDECESSOR_KEYS)}" for key in unknown))
    missing = [key for key in NAMED_BY if key not in given]
    if missing:
        raise ConfigError("\n".join(f"{source}: {key}: is missing" for key in missing))
    result = preset(*(given[key] for key in NAMED_BY), said=[f"{source}: {key}" for key in NAMED_BY])
    half = given.get("mixed_precision.mixed_precision", False)
    if not isinstance(half, bool):
        raise ConfigError(f"{source}: mixed_precision.mixed_precision: found {half!r}, expected true or false")
    for key, value in given.items():
        ours = PREDECESSOR_KEYS[key]
        if ours is None or (key.startswith("mixed_precision.") and "channel_last" not in key and not half):
            continue
        config.assign(result, ours, _folder(value) if key == "model.pretrained_model_dir" else value)
    if half:
        result = config.merge({"train": {"precision": MIXED_PRECISION}}, result)
    return _with_schedule_by_class_name(result)


def _folder(value: Any) -> Any:
    """Empty is none to the predecessor; a slash at the end means nothing."""
    return value.rstrip("/") or None if isinstance(value, str) else value


def _with_schedule_by_class_name(tree: Tree) -> Tree:
    """The predecessor names a scheduler by its class (`CosineScheduler`) or by a word (`Cosine`)."""
    schedule = tree.get("train", {}).get("schedule", {})
    if "kind" in schedule:
        schedule["kind"] = str(schedule["kind"]).lower().removesuffix("scheduler")
    return tree


def _flatten(tree: Mapping[str, Any], source: str) -> dict[str, Any]:
    found = {}
    for section, options in tree.items():
        if not isinstance(options, Mapping):
            raise ConfigError(f"{source}: {section}: expected a section with keys, found {options!r}")
        found.update({f"{section}.{key}": value for key, value in options.items()})
    return found
