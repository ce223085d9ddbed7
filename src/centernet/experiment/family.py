"""The family's words for an experiment (`--dataset pascal --arch dlav0 --num_layers 34`, the predecessor's YAML) as ours.

Here, and only here, the predecessor's names are known: this is the mapping table at the border.
"""

from __future__ import annotations

from collections.abc import Mapping
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
PREDECESSOR_SECTIONS = ("dataset", "learning_rate_config", "mixed_precision")
MIXED_PRECISION: Tree = {"compute": "half", "pad_input_to": 4}  # what the predecessor's one flag switches on


def preset(dataset: str, arch: str, num_layers: int) -> Tree:
    """The sections `task`, `data` and `model` of a published experiment.

    Raises:
        ConfigError: dataset or architecture is unknown, or the architecture is not built that deep.
    """
    if dataset not in DATASETS:
        raise ConfigError(f"--dataset {dataset}: unknown{did_you_mean(dataset, DATASETS)}")
    return {"task": {"name": "ctdet"}, "data": dict(DATASETS[dataset]), "model": model(arch, num_layers)}


def model(arch: str, num_layers: int) -> Tree:
    """The `model` section of a published network; ConfigError as in `preset`."""
    if arch not in ARCHITECTURES:
        raise ConfigError(f"--arch {arch}: unknown{did_you_mean(arch, ARCHITECTURES)}")
    depths = ARCHITECTURES[arch]["layers"]
    if num_layers not in depths:
        raise ConfigError(f"--num_layers {num_layers}: {arch} is built with {', '.join(map(str, depths))} layers")
    tree: Tree = {section: dict(options) for section, options in ARCHITECTURES[arch]["model"].items()}
    if len(depths) > 1:
        tree["backbone"]["num_layers"] = num_layers
    return tree


def default_depth(arch: str) -> int:
    """The depth meant when only `--arch` is given."""
    return int(ARCHITECTURES[arch]["layers"][0]) if arch in ARCHITECTURES else 18


def words(tree: Mapping[str, Any]) -> dict[str, Any]:
    """What the family calls the data set, backbone, depth and hidden channels of an experiment's tree; None where it has no word."""
    data = tree.get("data", {}).get("dataset", {}).get("name")
    backbone = tree.get("model", {}).get("backbone", {})
    arch = backbone.get("name")
    depths = ARCHITECTURES[arch]["layers"] if arch in ARCHITECTURES else (None,)
    return {
        "dataset": next((word for word, sections in DATASETS.items() if sections["dataset"]["name"] == data), data),
        "arch": arch,
        "num_layers": backbone.get("num_layers", depths[0]),
        "head_conv": tree.get("model", {}).get("head", {}).get("hidden_channels"),
    }


def is_predecessors(tree: Mapping[str, Any]) -> bool:
    """Whether a YAML tree is written in the predecessor's keys."""
    return any(section in tree for section in PREDECESSOR_SECTIONS)


def translate(tree: Mapping[str, Any], *, source: str) -> Tree:
    """A predecessor's YAML tree as ours.

    Raises:
        ConfigError: a key that the predecessor does not know either, or a missing one; the text names it and `source`.
    """
    given = _flatten(tree, source)
    unknown = [key for key in given if key not in PREDECESSOR_KEYS]
    if unknown:
        raise ConfigError("\n".join(f"{source}: {key}: unknown key{did_you_mean(key, PREDECESSOR_KEYS)}" for key in unknown))
    missing = [key for key in ("dataset.dataset", "model.arch", "model.num_layers") if key not in given]
    if missing:
        raise ConfigError("\n".join(f"{source}: {key}: is missing" for key in missing))
    result = preset(given["dataset.dataset"], given["model.arch"], given["model.num_layers"])
    half = bool(given.get("mixed_precision.mixed_precision"))
    for key, value in given.items():
        ours = PREDECESSOR_KEYS[key]
        if ours is None or (key.startswith("mixed_precision.") and "channel_last" not in key and not half):
            continue
        config.assign(result, ours, value or None if key == "model.pretrained_model_dir" else value)
    if half:
        result = config.merge({"train": {"precision": MIXED_PRECISION}}, result)
    return _with_schedule_by_class_name(result)


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
