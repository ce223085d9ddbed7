"""What our parameters are called in PyTorch checkpoints: our scopes are the original's modules, unless a plug-in says otherwise.

A plug-in whose scopes have other names, because they are those of published NNabla files, has a function
`torch_module(scope, layer, config)`: the original's module of the layer 'conv', 'deconv' or 'bn' in that scope of a network
with that part, or None where the scope is not its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType

from centernet import plugins
from centernet.models.network import BACKBONES, HEADS, NECKS, Network

KINDS = {
    "conv/W": "weight",
    "conv/b": "bias",
    "deconv/W": "weight",
    "deconv/b": "bias",
    "bn/gamma": "weight",
    "bn/beta": "bias",
    "bn/mean": "running_mean",
    "bn/var": "running_var",
}
# In the originals' files, but in no detector: classifiers, the counters of batch norm, projections whose result is never used.
NEVER_USED = ("fc.*", "classifier.*", "base.fc.*", "*num_batches_tracked", "base.level[34].project.*")


def torch_names(network: Network) -> dict[str, str]:
    """Our name -> the original's key, of every parameter of the network, in our order."""
    return {name: _key(name, network) for name in network.parameter_shapes()}


def backbone_torch_names(network: Network) -> dict[str, str]:
    """As `torch_names`, of the backbone alone: what an ImageNet checkpoint has to offer."""
    return {name: _key(name, network) for name in network.backbone_shapes()}


def torch_key(name: str, module: str | None = None) -> str:
    """The key of one parameter whose scope is the original's module, or that of `module`.

    Raises:
        KeyError: the name does not end in a known layer and kind.
    """
    scope, layer, kind = name.rsplit("/", 2)
    return f"{module or scope.replace('/', '.')}.{KINDS[f'{layer}/{kind}']}"


def _key(name: str, network: Network) -> str:
    scope, layer, _ = name.rsplit("/", 2)
    modules = (part.torch_module(scope, layer, config) for part, config in _owners(scope, network) if hasattr(part, "torch_module"))
    return torch_key(name, next((module for module in modules if module is not None), None))


def _owners(scope: str, network: Network) -> Iterator[tuple[ModuleType, object]]:
    """The plug-ins a scope may belong to, with their configurations; that of a head is told by the head's name."""
    starts = tuple(f"{spec.scope}{separator}" for spec in network.heads.values() for separator in ("_", "/"))
    kinds: Mapping[str, object] = {HEADS: network.head} if scope.startswith(starts) else {BACKBONES: network.backbone, NECKS: network.neck}
    for package, config in kinds.items():
        yield plugins.load(package, plugins.name_of(config)), config
