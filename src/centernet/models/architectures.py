"""The networks that have a name: what `--arch`, `centernet models`, the files in `cfg/` and the importer call them.

A name is a family and, where there is a choice, its depth: `resdcn_18`. `res_18`, `resdcn_18`, `dla_34`, `dlav0_ida_34` and
`hourglass` are the official system's; `dlav0_34` is the predecessor's graph, not the official system's, which is `dlav0_ida_34`.
`large_hourglass`, `small_hourglass` and `tiny_hourglass` are those of keypoint triplets (arXiv:1904.08189), with heads of their own.
Where a backbone is put under another neck than its own, the family names the neck too: `res_fpn_18`, `mobilenet_v2_bifpn`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from centernet.errors import ConfigError

Section = Mapping[str, Any]  # of a YAML file
RESNETS, LATER_RESNETS = (18, 34, 50, 101, 152), (50, 101)  # the depths of ResNet, and of what was made of it
NECKS: dict[str, Section] = {"fpn": {"name": "fpn"}, "bifpn": {"name": "bifpn"}, "ida": {"name": "ida"}}  # over any backbone with levels
PLAIN_HEAD = "conv"  # which gives any outputs
OPTIONS = ("num_layers", "size", "deformable")  # that tell one architecture from another
ALIASES = {  # other systems' names
    **{f"resnet_{depth}": f"res_{depth}" for depth in RESNETS},
    "hourglass": "hourglass_104",
    "keypoint_triplets_104": "large_hourglass",
    "keypoint_triplets_52": "small_hourglass",
    "keypoint_triplets_tiny": "tiny_hourglass",
    "resnext50_32x4d": "resnext_50",
    "resnext101_32x8d": "resnext_101",
    "wide_resnet50_2": "wide_resnet_50",
    "wide_resnet101_2": "wide_resnet_101",
}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One network: the sections of a YAML file that make it. num_layers: None where the family has no depth to choose."""

    family: str
    num_layers: int | None
    backbone: Section
    neck: Section
    hidden_channels: int  # of the heads
    head: str = PLAIN_HEAD

    @property
    def name(self) -> str:
        """What `--arch` calls it."""
        return self.family if self.num_layers is None else f"{self.family}_{self.num_layers}"

    @property
    def sections(self) -> dict[str, dict[str, Any]]:
        """The section `model` of a YAML file."""
        head = {"name": self.head, "hidden_channels": self.hidden_channels}
        return {"backbone": dict(self.backbone), "neck": dict(self.neck), "head": head}


def _family(
    family: str,
    backbone: str,
    neck: Section,
    *,
    hidden_channels: int,
    head: str = PLAIN_HEAD,
    depths: tuple[int | None, ...] = (None,),
    **options: Any,
) -> list[Architecture]:
    """One for each depth, the usual one first; `options` are the backbone's."""
    return [
        Architecture(
            family=family,
            num_layers=depth,
            backbone={"name": backbone, **({} if depth is None else {"num_layers": depth}), **options},
            neck=neck,
            hidden_channels=hidden_channels,
            head=head,
        )
        for depth in depths
    ]


def _with_necks(family: str, backbone: str, own: Section, **settings: Any) -> list[Architecture]:
    """The backbone under its own neck, and under those for any backbone."""
    necks = {family: own, **{f"{family}_{neck}": section for neck, section in NECKS.items()}}
    return [one for name, neck in necks.items() for one in _family(name, backbone, neck, **settings)]


DECONV, DLA_UP, IDENTITY = {"name": "deconv"}, {"name": "dla_up"}, {"name": "identity"}
ARCHITECTURES: dict[str, Architecture] = {
    one.name: one
    for one in (
        *_with_necks("res", "resnet", DECONV, hidden_channels=64, depths=RESNETS),
        *_family("resdcn", "resnet", {"name": "resdcn"}, hidden_channels=64, depths=RESNETS),
        *_with_necks("dla", "dla", DLA_UP, hidden_channels=256, depths=(34,)),
        *_family("dla_plain", "dla", {**DLA_UP, "deformable": False}, hidden_channels=256, depths=(34,)),
        *_family("dlav0", "dlav0", {"name": "dlav0_up"}, hidden_channels=256, depths=(34,)),
        *_family("dlav0_ida", "dla", {"name": "dlav0_ida"}, hidden_channels=256, depths=(34,)),
        *_family("hourglass", "hourglass", IDENTITY, hidden_channels=256, depths=(104, 52)),
        *_family("large_hourglass", "hourglass", IDENTITY, hidden_channels=256, head="triplet", num_layers=104),
        *_family("small_hourglass", "hourglass", IDENTITY, hidden_channels=256, head="triplet", num_layers=52),
        *_family("tiny_hourglass", "hourglass", IDENTITY, hidden_channels=256, head="triplet", num_layers=52, size="tiny"),
        *_with_necks("resnext", "resnext", DECONV, hidden_channels=64, depths=LATER_RESNETS),
        *_with_necks("wide_resnet", "wide_resnet", DECONV, hidden_channels=64, depths=LATER_RESNETS),
        *_with_necks("mobilenet_v2", "mobilenet_v2", DECONV, hidden_channels=64),
        *_with_necks("mobilenet_v3_small", "mobilenet_v3", DECONV, hidden_channels=64, size="small"),
        *_with_necks("mobilenet_v3_large", "mobilenet_v3", DECONV, hidden_channels=64, size="large"),
    )
}
USUAL: dict[str, Section] = {  # what a plug-in's options are where nothing is said
    "resnet": {"num_layers": 18},
    "dla": {"num_layers": 34},
    "dlav0": {"num_layers": 34},
    "hourglass": {"num_layers": 104, "size": "full"},
    "resnext": {"num_layers": 50},
    "wide_resnet": {"num_layers": 50},
    "mobilenet_v3": {"size": "small"},
    "dla_up": {"deformable": True},
}


def depths(family: str) -> tuple[int, ...]:
    """The depths a family is built in, the usual one first; none where there is no choice, or no such family."""
    return tuple(one.num_layers for one in ARCHITECTURES.values() if one.family == family and one.num_layers is not None)


def get(name: str) -> Architecture:
    """The architecture of that name, an alias included.

    Raises:
        ConfigError: there is none; the nearest is named.
    """
    name = ALIASES.get(name, name)
    if name not in ARCHITECTURES:
        raise ConfigError(f"'{name}' is unknown{nearest(name)}")
    return ARCHITECTURES[name]


def nearest(name: str, *more: str) -> str:
    """The end of an error text: the nearest name of an architecture or family, or of `more`; else the families with their own necks."""
    name = name.lower()
    families = {one.family for one in ARCHITECTURES.values()}
    known = sorted({*ARCHITECTURES, *ALIASES, *families, *more})
    numbered = re.fullmatch(r"(.+?)_?(\d+)", name)
    if numbered and depths(numbered[1]):
        depth = min(depths(numbered[1]), key=lambda depth: abs(depth - int(numbered[2])))
        return f"; did you mean '{numbered[1]}_{depth}'?"
    near = [other for other in known if name and other.startswith(f"{name}_")] or get_close_matches(name, known, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    plain = {one.family for one in ARCHITECTURES.values() if one.neck not in NECKS.values()}
    return f"; known: {', '.join(sorted({*plain, *more}))} (`centernet models` lists all, with their depths)"


def find(model: Mapping[str, Any]) -> Architecture | None:
    """The architecture that a section `model` describes, whatever its widths; None where it has no name.

    Another head than a named one's, a user's own too, counts as the plain one.
    """
    head = model.get("head", {}).get("name", PLAIN_HEAD)
    alike = {one.head: one for one in ARCHITECTURES.values() if _is(model, one)}
    return alike.get(head, alike.get(PLAIN_HEAD))


def _is(model: Mapping[str, Any], one: Architecture) -> bool:
    return _told_apart(model.get("backbone", {})) == _told_apart(one.backbone) and _told_apart(model.get("neck", {})) == _told_apart(
        one.neck
    )


def _told_apart(section: Section) -> Section:
    """What counts of a section: not its widths."""
    full = {**USUAL.get(section.get("name", ""), {}), **section}
    return {option: full[option] for option in ("name", *OPTIONS) if option in full}
