"""What a checkpoint of PyTorch is: which network of which system, and the experiment that its authors trained it in."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from centernet import config as configuration
from centernet import plugins
from centernet.config import Tree
from centernet.errors import ConfigError, WeightsError
from centernet.experiment import family, published_tasks
from centernet.experiment.choice import Choice
from centernet.experiment.published_tasks import Claim
from centernet.experiment.schema import ModelConfig
from centernet.models import architectures
from centernet.models.network import Network
from centernet.models.torch_names import torch_names
from centernet.weights import torch_identify
from centernet.weights.match import Shapes
from centernet.weights.torch_import import plain, read_shapes

LOG = logging.getLogger(__name__)

BACKBONE_NAMES = ("resnet", "resnext", "wide_resnet", "mobilenet", "dla34")  # what names of ImageNet's networks begin with
# The original's name -> ours, where they differ.
OURS = {"dlav0_34": "dlav0_ida_34", "dla34": "dla_34", **{f"resnet{depth}": f"res_{depth}" for depth in (18, 34, 50, 101, 152)}}
ORIGINAL_NECKS = ("deconv", "resdcn", "dla_up", "dlav0_ida", "identity")  # that the original systems have too
# What some keys of every network with a backbone begin with.
WORDS = {
    **dict.fromkeys(("resnet", "resnext", "wide_resnet"), ("conv1.", "bn1.", "layer", "deconv_layers.")),
    **dict.fromkeys(("mobilenet_v2", "mobilenet_v3"), ("features.",)),
    "dla": ("base.", "dla_up.", "ida_up.", "level5."),
    "hourglass": ("kps.", "pre.", "cnvs.", "inters"),
}
KITTI: Tree = {
    "name": "coco",
    "classes": ["Pedestrian", "Car", "Cyclist"],
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
# What the official system's other tasks were trained on, by a head that only they have: data set and input size.
OTHER_TASKS: dict[str, tuple[Tree, list[int]]] = {
    "hps": ({"name": "coco", "classes": ["person"]}, [512, 512]),
    "dep": (KITTI, [384, 1280]),
}
DATASETS = {80: "coco", 20: "pascal"}  # by the number of classes
NAME_THE_CLASSES = (
    "name them: --dataset, --data_dir DIR, --set data.dataset.classes=[A,B,...] or --train-config FILE, in `convert` also --classes A,B,..."
)


class UnknownNetwork(WeightsError):
    """A checkpoint is of a network that is not known or not built here."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What keys and shapes tell of a checkpoint.

    name: of its network in the system it is from. architecture: the same graph's name here. heads: name -> channels, none of
    a backbone. hidden_channels: of the heads. is_assumed: its network is unknown, and that which was typed is taken.
    """

    name: str
    architecture: str
    heads: Mapping[str, int]
    hidden_channels: int | None
    is_assumed: bool = False

    @property
    def is_backbone(self) -> bool:
        """Whether it is an ImageNet classifier, whose trunk a training can start from."""
        return not self.is_assumed and self.name.startswith(BACKBONE_NAMES)

    @property
    def claim(self) -> Claim | None:
        """The task whose heads it has, None where it has no task's here."""
        return published_tasks.claim(self.heads)

    @property
    def is_of_another_task(self) -> bool:
        """Whether its heads are those of no task here, as ExtremeNet's are not."""
        return not self.is_assumed and bool(self.heads) and self.claim is None

    @property
    def num_classes(self) -> int | None:
        """Of a detector of a task here."""
        return self.claim.num_classes if self.claim else None

    def __str__(self) -> str:
        own = "" if self.architecture == self.name else f" (here {self.architecture})"
        heads = ", ".join(f"{head} {channels}" for head, channels in self.heads.items())
        said = "taken for " * self.is_assumed
        return f"{said}a {self.name}{own}" + (f" with heads {heads}" if heads else "")


def identify(path: str | Path, choice: Choice | None = None) -> Origin:
    """Which network a checkpoint is of, and where its keys do not say, the one that was typed; its values are not read.

    Raises:
        WeightsError: the file cannot be read, see `read_checkpoint`.
        UnknownNetwork: as `origin_of`, and no network was typed.
    """
    shapes = plain(read_shapes(path))
    try:
        return origin_of(shapes, source=path)
    except UnknownNetwork:
        if choice is None or not _types_a_network(choice):
            raise
    heads, hidden = torch_identify.head_channels(shapes), torch_identify.hidden_channels(shapes)
    name = f"network of {choice.yaml}"
    if choice.yaml is None:
        name = family.architecture(choice.words.get("arch", "resnet"), choice.words.get("num_layers")).name
    return Origin(name=name, architecture=name, heads=heads, hidden_channels=hidden, is_assumed=True)


def _types_a_network(choice: Choice) -> bool:
    return choice.yaml is not None or "arch" in choice.words or "num_layers" in choice.words


def origin_of(shapes: Shapes, *, source: str | Path) -> Origin:
    """Which network keys without prefixes, and shapes, are of.

    Raises:
        UnknownNetwork: of none that can be built; the nearest is named.
    """
    name = torch_identify.architecture(shapes)
    if name is None:
        raise UnknownNetwork(f"{source}: is of no known network; {_nearest(shapes)}")
    own = architecture_of(shapes)
    if own is None:
        raise UnknownNetwork(f"{source}: is a {name}, which this version does not build; {_nearest(shapes)}")
    if name.startswith(BACKBONE_NAMES):
        return Origin(name=name, architecture=own, heads={}, hidden_channels=None)
    heads, hidden = torch_identify.head_channels(shapes), torch_identify.hidden_channels(shapes)
    return Origin(name=name, architecture=own, heads=heads, hidden_channels=hidden)


def completed(choice: Choice, origin: Origin, *, source: str | Path) -> Choice:
    """What was typed, and where it says nothing, what the checkpoint is and what its system trained it on.

    Raises:
        WeightsError: it is no detector, or of another task. ConfigError: its classes have no names, and none were typed.
    """
    if origin.is_backbone:
        raise WeightsError(
            f"{source}: is {origin}, ImageNet's classifier and no detector; a training starts from it with "
            f"--set model.pretrained_model_dir={source}"
        )
    if origin.is_of_another_task:
        raise WeightsError(f"{source}: is {origin}: no detector by {', nor by '.join(published_tasks.detectors())}")
    check_task(choice, origin, source=source)
    if choice.yaml is not None or (origin.is_assumed and origin.num_classes is None):
        return choice
    choice = _with_the_officials(choice, origin, source=source)
    words = _network_words(choice, origin)
    keys: dict[str, Any] = {}
    options = {f"task.{key}": value for key, value in origin.claim.options.items()} if origin.claim else {}
    if "dataset" not in choice.words:
        other = next((found for head, found in OTHER_TASKS.items() if head in origin.heads), None)
        if other is not None and "data.root" not in choice.keys:
            words["dataset"], keys = "coco", {"data.dataset": other[0]}
            keys |= {"data.input_size": other[1]} if choice.input_size is None else {}
        elif origin.num_classes in DATASETS:
            words["dataset"] = DATASETS[origin.num_classes]
        elif not {"data.root", "data.dataset.classes"} & choice.keys.keys() and not _sets_data(choice):
            raise ConfigError(f"{source}: a PyTorch checkpoint does not say what its {origin.num_classes} classes are; {NAME_THE_CLASSES}")
    return replace(choice, words={**words, **choice.words}, keys={**keys, **options, **choice.keys})


def check_task(choice: Choice, origin: Origin, *, source: str | Path) -> None:
    """WeightsError where another task was typed than that whose heads a checkpoint has."""
    if choice.task is not None and origin.claim is not None and origin.claim.task != choice.task:
        raise WeightsError(f"task '{choice.task}' was asked for, but {source} is for task '{origin.claim.task}': it is {origin}")


def with_its_network(choice: Choice, path: str | Path) -> Choice:
    """What was typed, and where it names no network, that of the checkpoint a training starts from.

    Of two graphs of the name that was typed, it is the checkpoint's.

    Raises:
        WeightsError: the checkpoint cannot be read, or no network was named, and it is of none that is known, or of another task.
    """
    if _types_a_network(choice):
        return _with_the_officials(choice, identify(path, choice), source=path) if choice.words.get("arch") in OURS else choice
    origin = identify(path)
    check_task(choice, origin, source=path)
    return replace(choice, words={**_network_words(choice, origin), **choice.words})


def _with_the_officials(choice: Choice, origin: Origin, *, source: str | Path) -> Choice:
    """The official system's graph where two have the name that was typed and the checkpoint is of that one."""
    own = OURS.get(origin.name)
    if origin.is_assumed or own != origin.architecture or choice.words.get("arch") != origin.name:
        return choice
    LOG.info("%s: --arch %s: the checkpoint is of the official system's graph of that name, which is %s here", source, origin.name, own)
    return replace(choice, words={**choice.words, "arch": own})


def _network_words(choice: Choice, origin: Origin) -> dict[str, Any]:
    words: dict[str, Any] = {} if _types_a_network(choice) else {"arch": origin.architecture}
    return words if origin.hidden_channels is None else {**words, "head_conv": origin.hidden_channels}


def _sets_data(choice: Choice) -> bool:
    return any(text.startswith(("data.dataset", "data.root")) for text in choice.assignments)


def architecture_of(shapes: Shapes) -> str | None:
    """The same graph's name here, of keys without prefixes; None where they are of nothing that is known here."""
    name = torch_identify.architecture(shapes)
    own = OURS.get(str(name), str(name))
    return architectures.get(own).name if own in architectures.ARCHITECTURES or own in architectures.ALIASES else None


def name_of(network: Network) -> str | None:
    """What `--arch` calls a network, whatever its widths; None where it has no name."""
    parts = {"backbone": network.backbone, "neck": network.neck, "head": network.head}
    model = {part: {"name": plugins.name_of(config), **configuration.to_tree(config)} for part, config in parts.items()}
    found = architectures.find(model)
    return None if found is None else found.name


def network_of(name: str, hidden_channels: int | None = None) -> Network:
    """The network of an architecture, without heads, whose hidden channels would be these; None: the usual ones."""
    sections = architectures.get(name).sections
    if hidden_channels is not None:
        sections["head"]["hidden_channels"] = hidden_channels
    model = configuration.validate(ModelConfig, sections, source=name)
    return Network(model.backbone, model.neck, model.head, {}, scope=OrderedDict())


def _nearest(shapes: Shapes) -> str:
    """Which of the networks that are known has the largest part of its keys in a checkpoint, in a few words."""
    named = [one for one in architectures.ARCHITECTURES.values() if one.neck["name"] in ORIGINAL_NECKS]
    known = [one for one in named if one.head == architectures.PLAIN_HEAD]  # the others have the same backbones, and heads do not count
    alike = [one.name for one in known if any(key.startswith(WORDS[one.backbone["name"]]) for key in shapes)]
    keys = {name: set(torch_names(network_of(name)).values()) for name in alike}
    shared = {name: len(own & set(shapes)) for name, own in keys.items()}
    if not any(shared.values()):
        return f"none of its {len(shapes)} keys is one of {', '.join(one.name for one in known)} in their authors' files"
    best = max(shared, key=lambda name: shared[name] / (len(keys[name]) + len(shapes)))
    cure = f"`centernet convert --arch {best} --allow-partial` takes what fits"
    return f"the nearest is {best}: {shared[best]} of its {len(keys[best])} parameters are there; {cure}"
