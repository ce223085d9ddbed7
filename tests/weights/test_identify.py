from __future__ import annotations

import json
from pathlib import Path

import pytest

from centernet.weights.identify import Identity, head_channels, identify


@pytest.mark.reference
def test_every_published_network_is_recognised_by_its_names(reference: Path) -> None:
    names = json.loads((reference / "nnabla" / "nnabla_params.json").read_text())
    for architecture, rows in names["backbone"].items():
        family = "dlav0" if architecture.startswith("dla") else "resnet"
        head = names["head"][f"{family}/hm20"]
        for column, layout in ((1, "nchw"), (2, "nhwc")):
            identity = identify({row[0]: tuple(row[column]) for row in rows + head})
            stem = 16 if family == "dlav0" else 64
            assert identity == Identity(architecture=architecture, layout=layout, input_channels=3, num_classes=20, stem_channels=stem)


def test_what_the_names_do_not_tell_is_none() -> None:
    nothing = Identity(architecture=None, layout=None, input_channels=None, num_classes=None, stem_channels=None)
    assert identify({}) == nothing
    assert identify({"w": (3,)}) == nothing
    assert identify({"res1/layer1/basicblock1/conv/W": (8, 8, 3, 3)}).architecture is None


@pytest.mark.parametrize("name", ["hm_final/conv/b", "hm/0/final/conv/b", "tl_heats/0/final/conv/b"])
def test_classes_are_those_of_the_heatmap_or_of_its_first_stack(name: str) -> None:
    assert identify({name: (7,), "hm/1/final/conv/b": (7,)}).num_classes == 7


def test_heads_are_told_by_the_biases_of_their_last_layers() -> None:
    shapes = {"res1/bn/beta": (1, 8, 1, 1), "hm_conv1/conv/b": (64,), "hm_final/conv/b": (7,), "hp_offset_final/conv/b": (2,)}
    assert head_channels(shapes) == {"hm": 7, "hp_offset": 2}
    layers = [f"{scope}/{stack}/{layer}" for scope in ("tl_heats", "br_tags") for stack in (0, 1) for layer in ("conv1", "final")]
    stacked = {f"{layer}/conv/b": (3,) for layer in layers}
    assert head_channels(stacked) == {"tl_heats": 3, "br_tags": 3}
