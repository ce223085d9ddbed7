"""Checkpoints of PyTorch as parameters of this project: read, renamed, and fitted to a network."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from centernet.errors import WeightsError
from centernet.experiment.origin import architecture_of, name_of
from centernet.experiment.published_tasks import claim
from centernet.models.network import Network
from centernet.models.specs import HeadSpec
from centernet.models.torch_names import NEVER_USED, backbone_torch_names, torch_names
from centernet.weights.layout import convert, shapes_of
from centernet.weights.match import Shapes
from centernet.weights.store import ParameterFile, read_parameters
from centernet.weights.torch_identify import head_channels
from centernet.weights.torch_import import ImportReport, import_state, is_checkpoint, plain, read_checkpoint

LOG = logging.getLogger(__name__)


def parameters_for(network: Network, path: str | Path, *, allow_partial: bool = False) -> ParameterFile:
    """A parameter file of any kind, as it is; a checkpoint of PyTorch under the network's names, with its own number of classes.

    Args:
        allow_partial: take what fits; the rest keeps the network's initial values.

    Raises:
        WeightsError: the file cannot be read, or is a checkpoint that is not the network's.
    """
    if not is_checkpoint(path):
        return _what_fits(read_parameters(path), network, what=path) if allow_partial else read_parameters(path)
    file, report = import_checkpoint(path, network, allow_partial=allow_partial)
    others = dict.fromkeys(key.split(".")[0] for key in report.unused_plain if not any(fnmatchcase(key, pattern) for pattern in NEVER_USED))
    left = f"; left in the file: {', '.join(others)}" if others else ""
    initial = f"; {len(report.missing)} have initial values" if report.missing else ""
    LOG.info("%s: %d parameters taken%s%s", path, len(report.taken), left, initial)
    return file


def import_checkpoint(
    path: str | Path, network: Network, *, allow_partial: bool = False, keep_heads: Sequence[str] = (), as_in_file: bool = True
) -> tuple[ParameterFile, ImportReport]:
    """A checkpoint's values under the names and in the shapes of a network, NCHW with three input channels.

    Args:
        allow_partial: take what fits; what is missing has the network's initial values.
        keep_heads: names of the checkpoint's heads that are kept though the network has none such.
        as_in_file: the heads have the checkpoint's channels, even where the network's have others.

    Raises:
        WeightsError: the file cannot be read, or its keys and shapes are not the network's: all of them are listed.
    """
    state = read_checkpoint(path)
    shapes = plain(shapes_of(state))
    found = head_channels(shapes)
    if not allow_partial:
        check_heads(path, found, network)
        _check_architecture(path, shapes, network)
    twin = _twin(network, {head: channels for head, channels in found.items() if as_in_file or head in keep_heads}, keep_heads)
    own = {spec.scope for spec in twin.heads.values()}
    allowed = (*NEVER_USED, *(f"{head}.*" for head in found if head not in own))
    values, report = import_state(
        state, torch_names(twin), twin.parameter_shapes(), what=path, allow_unused=allowed, allow_partial=allow_partial
    )
    if report.missing:
        drawn = twin.parameters()
        values = {name: values[name] if name in values else drawn[name].d.copy() for name in drawn}
    return ParameterFile(parameters=values, need_grad=dict(twin.trainable)), report


def import_backbone(path: str | Path, network: Network, *, allow_partial: bool = False) -> tuple[ParameterFile, ImportReport]:
    """The trunk of an ImageNet classifier under the names of a network's backbone, NCHW with three input channels.

    Raises:
        WeightsError: as `import_checkpoint`.
    """
    state = read_checkpoint(path)
    twin = _twin(network, {}, ())
    shapes = twin.backbone_shapes()
    values, report = import_state(
        state, backbone_torch_names(twin), shapes, what=path, allow_unused=NEVER_USED, allow_partial=allow_partial
    )
    return ParameterFile(parameters=values, need_grad={name: twin.trainable[name] for name in values}), report


def _what_fits(file: ParameterFile, network: Network, *, what: str | Path) -> ParameterFile:
    """All parameters of a network: a file's own of the same name and shape, initial values for the rest."""
    parameters = convert(file.parameters, layout=network.layout, channels=4 if network.input_channels == 4 else 3)
    own = network.parameters()
    fits = [name for name in own if name in parameters and parameters[name].shape == own[name].shape]
    if not fits:
        raise WeightsError(f"{what}: has none of the network's {len(own)} parameters")
    LOG.info("%s: %d of %d parameters taken; the rest has initial values", what, len(fits), len(own))
    values = {name: parameters[name] if name in fits else variable.d.copy() for name, variable in own.items()}
    return ParameterFile(parameters=values, need_grad=dict(network.trainable), description=file.description)


def _twin(network: Network, channels: Mapping[str, int], more: Sequence[str]) -> Network:
    """The same network as originals have it: NCHW, three input channels; with these channels of its heads, by their names there."""
    heads = {name: replace(spec, channels=channels.get(spec.scope, spec.channels)) for name, spec in network.heads.items()}
    known = {spec.scope for spec in heads.values()}
    heads |= {head: HeadSpec(scope=head, channels=channels[head], kind="regression") for head in more if head not in known}
    return Network(network.backbone, network.neck, network.head, heads, seed=network.seed, scope=OrderedDict())


def check_heads(path: str | Path, channels: Mapping[str, int], network: Network) -> None:
    """WeightsError where a file's heads, name → channels, are those of another task than the network's."""
    found, own = claim(channels), claim({spec.scope: spec.channels for spec in network.heads.values()})
    if found is not None and own is not None and found.task != own.task:
        raise WeightsError(
            f"{path}: not the weights of this network: the file has heads of task '{found.task}' ({', '.join(channels)}), the network "
            f"those of task '{own.task}'; a training takes what fits with --allow-partial"
        )


def _check_architecture(path: str | Path, shapes: Shapes, network: Network) -> None:
    found, own = architecture_of(shapes), name_of(network)
    if None not in (found, own) and found != own:
        raise WeightsError(f"{path}: not the weights of this network: the file is a {found}, the network a {own} (--arch)")
