"""ImageNet weights that a training starts from: a published file, or the original's checkpoint, of the network's backbone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from centernet import config as configuration
from centernet import plugins
from centernet.errors import WeightsError
from centernet.experiment.checkpoints import import_backbone
from centernet.experiment.origin import identify, name_of, network_of
from centernet.models.network import Network
from centernet.weights.layout import detect_layout
from centernet.weights.pretrained import fill_backbone, load_backbone, published_file
from centernet.weights.store import read_parameters
from centernet.weights.torch_import import is_checkpoint

LOG = logging.getLogger(__name__)
OFFICIAL_FILES = {"dla": "http://dl.yf.io/dla/models/imagenet/dla34-ba72cf86.pth"}  # of backbones of which nothing is published


def begin_with_backbone(network: Network, place: Path) -> str | None:
    """Copy ImageNet weights into the network's backbone; returns what was done, in a line.

    Args:
        place: `model.pretrained_model_dir`: a file, or a folder where published files and checkpoints lie. In a folder a
            published file comes first; checkpoints are told by their keys, whatever they are called.

    Returns:
        None where the folder has nothing for a backbone of which nothing is published.

    Raises:
        WeightsError: the file is damaged or of another backbone, or is not there although it is published.
    """
    name, expected, variables = network.pretrained_name, network.backbone_shapes(), network.parameters()
    is_published = name is not None and published_file(place, name, detect_layout(expected) or "nchw") is not None
    path = place if place.is_file() else None if is_published else _checkpoint_in(place, network)
    if path is not None:
        file = import_backbone(path, network)[0] if is_checkpoint(path) else read_parameters(path)
        report = fill_backbone(file.parameters, variables, expected, name=name_of(network) or "the backbone", what=path)
    elif name is None:
        return None
    else:
        path, report = load_backbone(place, name, variables, expected)
    return f"{path}: {report}"


def nothing_found(network: Network, place: str | Path) -> str:
    """That `place` has nothing for the backbone, and which file the official system begins with where there is one."""
    address = OFFICIAL_FILES.get(plugins.name_of(network.backbone))
    cure = f"; to begin as the official system does, put {address} there" if address else ""
    return f"{place} has none for the backbone{cure}"


def _checkpoint_in(folder: Path, network: Network) -> Path | None:
    return next((path for path in sorted(folder.glob("*")) if is_checkpoint(path) and _is_for(path, network)), None)


def _is_for(path: Path, network: Network) -> bool:
    """Whether a checkpoint is a classifier with the network's backbone, of whatever width."""
    try:
        origin = identify(path)
    except WeightsError as error:
        LOG.warning("passed over: %s", error)
        return False
    return origin.is_backbone and _kind(network_of(origin.architecture).backbone) == _kind(network.backbone)


def _kind(backbone: object) -> tuple[type, dict[str, Any]]:
    return type(backbone), {key: value for key, value in configuration.to_tree(backbone).items() if key != "width"}
