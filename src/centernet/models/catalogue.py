"""What is known of every network that has a name: what it costs, whose weights it takes, and what they were measured with.

Numbers that the graph tells lie in `costs.json`, which a test holds against the graphs; facts of others stand here where they
are certain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from centernet.models.architectures import ARCHITECTURES

# Licences of the systems the weights come from.
OFFICIAL, PREDECESSOR, TORCHVISION, TRIPLETS = "MIT", "Apache-2.0", "BSD-3-Clause", "BSD-3-Clause"
VAL2017 = "COCO val2017, single scale, own resolution (--keep_res)"  # arXiv:1904.07850, table 1, N.A.
# The table of CenterNet-47, a re-implementation of arXiv:1904.08189, whose own table has the numbers of other trainings.
CENTERNET_47 = "COCO val2017, trained at 511x511: plain/mirror image too/at several scales too (CenterNet-47)"


@dataclass(frozen=True, kw_only=True)
class Published:
    """An average precision that others published, and how they measured it; all from 0 to 100.

    flip_ap: with the mirror image too; scales_ap: and at several scales; None where the protocol is of one number. weights: with
    which; None where those were not published.
    """

    ap: float
    protocol: str
    weights: str | None
    flip_ap: float | None = None
    scales_ap: float | None = None

    def __str__(self) -> str:
        """The numbers."""
        return "/".join(f"{ap:.1f}" for ap in (self.ap, self.flip_ap, self.scales_ap) if ap is not None)


@dataclass(frozen=True, kw_only=True)
class Model:
    """One network.

    parameters: trained numbers, with COCO's heads. multiply_adds: of a 512x512 image. stride: input pixels per cell.
    input_sizes: what height and width have to be. weights: published files that fit the whole network. backbone_weights:
    ImageNet files for its backbone. licence: of the system whose weights these are; ImageNet's own terms come on top.
    """

    name: str
    backbone: str
    neck: str
    hidden_channels: int
    parameters: int
    multiply_adds: int
    stride: int
    input_sizes: str
    weights: tuple[str, ...]
    backbone_weights: tuple[str, ...]
    licence: str
    published: Published | None


WEIGHTS: Mapping[str, tuple[str, ...]] = {  # the predecessor's, as `centernet weights list` names them, and the official system's
    "res_18": tuple(f"resnet_18_{dataset}_{precision}" for dataset in ("coco", "pascal") for precision in ("fp", "mp")),
    "dlav0_34": tuple(f"dlav0_34_{dataset}_{precision}" for dataset in ("coco", "pascal") for precision in ("fp", "mp")),
    "dla_34": ("ctdet_coco_dla_1x", "ctdet_coco_dla_2x", "ctdet_pascal_dla_384", "ctdet_pascal_dla_512"),
    "resdcn_18": ("ctdet_coco_resdcn18", "ctdet_pascal_resdcn18_384", "ctdet_pascal_resdcn18_512"),
    "resdcn_101": ("ctdet_coco_resdcn101", "ctdet_pascal_resdcn101_384", "ctdet_pascal_resdcn101_512"),
    "hourglass_104": ("ctdet_coco_hg",),
    "large_hourglass": ("CenterNet-104",),
    "small_hourglass": ("CenterNet-52",),
}
LICENCES: Mapping[str, str] = dict.fromkeys(("large_hourglass", "small_hourglass"), TRIPLETS)  # where the backbone does not tell
PUBLISHED: Mapping[str, Published] = {
    "dla_34": Published(ap=37.4, protocol=VAL2017, weights="ctdet_coco_dla_2x"),
    "resdcn_18": Published(ap=28.1, protocol=VAL2017, weights="ctdet_coco_resdcn18"),
    "resdcn_101": Published(ap=34.6, protocol=VAL2017, weights="ctdet_coco_resdcn101"),
    "hourglass_104": Published(ap=40.3, protocol=VAL2017, weights="ctdet_coco_hg"),
    "large_hourglass": Published(ap=42.9, flip_ap=45.0, scales_ap=46.9, protocol=CENTERNET_47, weights=None),
    "small_hourglass": Published(ap=39.5, flip_ap=41.9, scales_ap=43.6, protocol=CENTERNET_47, weights=None),
}
TORCHVISION_NAMES = {"resnext_50": "resnext50_32x4d", "resnext_101": "resnext101_32x8d"}


@cache
def models() -> tuple[Model, ...]:
    """All of them, in the order of the table of architectures: what `centernet.models.list()` gives."""
    costs = json.loads(resources.files("centernet.models").joinpath("costs.json").read_text())
    return tuple(_model(name, costs[name]) for name in ARCHITECTURES)


def _model(name: str, cost: Mapping[str, Any]) -> Model:
    one = ARCHITECTURES[name]
    backbone = "_".join(str(value) for value in one.backbone.values())
    weights, pretrained = WEIGHTS.get(name, ()), _backbone_weights(backbone)
    return Model(
        name=name,
        backbone=backbone,
        neck=one.neck["name"] + ("" if one.neck.get("deformable", True) else " (plain)"),
        hidden_channels=one.hidden_channels,
        weights=weights,
        backbone_weights=pretrained,
        licence=_licence(name, backbone, has_weights=bool(weights), has_backbone=bool(pretrained)),
        published=PUBLISHED.get(name),
        **cost,
    )


def _backbone_weights(backbone: str) -> tuple[str, ...]:
    """The predecessor's, and torchvision's or the official system's."""
    family, _, depth = backbone.rpartition("_")
    if family == "dlav0":
        return ("dla34_nchw_imagenet",)
    if family == "dla":
        return ("dla34-ba72cf86.pth",)
    if backbone.startswith("hourglass"):
        return ()
    theirs = {"resnet": f"resnet{depth}", "wide_resnet": f"wide_resnet{depth}_2"}.get(family, TORCHVISION_NAMES.get(backbone, backbone))
    return (*(["resnet18_nchw_imagenet"] if backbone == "resnet_18" else []), f"torchvision {theirs}")


def _licence(name: str, backbone: str, *, has_weights: bool, has_backbone: bool) -> str:
    if name in LICENCES:
        return LICENCES[name]
    if has_weights:
        return PREDECESSOR if backbone.startswith("dlav0") or name == "res_18" else OFFICIAL
    return TORCHVISION if has_backbone else ""
