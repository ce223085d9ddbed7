"""The family's words for an experiment (`--dataset pascal --arch dlav0 --num_layers 34`, the predecessor's YAML) as ours.

Here, and only here, the predecessor's names are known: this is the mapping table at the border.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from centernet import config
from centernet.config import Tree
from centernet.errors import ConfigError, did_you_mean

# What a published network of each architecture is made of, and the depths it is built in.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "resnet": {
        "layers": (18, 34, 50, 101, 152),
        "model": {"backbone": {"name": "resnet"}, "neck": {"name": "deconv"}, "head": {"name": "conv", "hidden_channels": 64}},
    },
    "dlav0": {
        "layers": (34,),
        "model": {"backbone": {"name": "dlav0"}, "neck": {"name": "dlav0_up"}, "head": {"name": "conv", "hidden_channels": 256}},
    },
}

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


def preset(dataset: object, arch: object, num_layers: object, *, said: Sequence[str] = WORDS) -> Tree:
    """The sections `task`, `data` and `model` of a published experiment.

    Args:
        said: what to call the three in messages.

    Raises:
        ConfigError: dataset or architecture is unknown, or the architecture is not built that deep.
    """
    known = _known(dataset, DATASETS, said[0])
    return {"task": {"name": "ctdet"}, "data": dict(DATASETS[known]), "model": _model(arch, num_layers, said=said)}


def _known(name: object, table: Mapping[str, Any], said: str) -> str:
    if not isinstance(name, str) or name not in table:
        raise ConfigError(f"{said}: '{name}' is unknown{did_you_mean(str(name), table)}")
    return name


def _model(arch: object, num_layers: object, *, said: Sequence[str]) -> Tree:
    arch = _known(arch, ARCHITECTURES, said[1])
    depths = ARCHITECTURES[arch]["layers"]
    if num_layers not in depths:
        raise ConfigError(f"{said[2]}: found {num_layers!r}, but {arch} is built with {', '.join(map(str, depths))} layers")
    tree: Tree = {section: dict(options) for section, options in ARCHITECTURES[arch]["model"].items()}
    if len(depths) > 1:
        tree["backbone"]["num_layers"] = num_layers
    return tree


def default_depth(arch: str) -> int:
    """The depth meant when only `--arch` is given."""
    return int(ARCHITECTURES[arch]["layers"][0]) if arch in ARCHITECTURES else 18


def words(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What the family calls the data set, backbone, depth and hidden channels of an experiment's tree; None where it has no word.

    The precision too, where the tree says how to train: a model file runs in any.
    """
    data = tree.get("data", {}).get("dataset", {}).get("name")
    backbone = tree.get("model", {}).get("backbone", {})
    arch = backbone.get("name")
    depths = ARCHITECTURES[arch]["layers"] if arch in ARCHITECTURES else (None,)
    return {
        "dataset": next((word for word, sections in DATASETS.items() if sections["dataset"]["name"] == data), data),
        "arch": arch,
        "num_layers": backbone.get("num_layers", depths[0]),
        "head_conv": tree.get("model", {}).get("head", {}).get("hidden_channels"),
        **_precision_words(tree),
    }


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
