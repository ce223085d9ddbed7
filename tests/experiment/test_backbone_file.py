"""Where a training finds ImageNet weights for its backbone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet.errors import WeightsError
from centernet.experiment.backbone_file import begin_with_backbone, nothing_found
from centernet.models.backbones import dla, mobilenet_v2, resnet
from centernet.models.heads import conv
from centernet.models.necks import deconv
from centernet.models.network import Network
from centernet.models.torch_names import backbone_torch_names
from centernet.structures import Array
from centernet.weights.store import write_parameters

only_zip = pytest.mark.parametrize("write_torch", ["zip"], indirect=True)  # one of the two formats is enough
Save = Callable[..., Path]


def network(num_layers: int = 18) -> Network:
    parts = (resnet.Config(num_layers=num_layers, width=0.125), deconv.Config(width=0.125))  # type: ignore[arg-type]
    return Network(*parts, conv.Config(hidden_channels=8), {}, scope=OrderedDict())


def classifier(own: Network) -> dict[str, Array]:
    """The backbone's values by the original's keys, and what a classifier has besides."""
    shapes, rng = own.backbone_shapes(), np.random.default_rng(0)
    named = backbone_torch_names(own).items()
    state = {key: rng.standard_normal(shapes[name][1:2] if "/bn/" in name else shapes[name]).astype(np.float32) for name, key in named}
    return {**state, "fc.weight": np.zeros((10, 64), np.float32), "bn1.num_batches_tracked": np.array(1, np.int64)}


@pytest.fixture
def save(tmp_path: Path, write_torch: Callable[[Path, object], None], tensor: Any) -> Save:
    def write(name: str, state: dict[str, Array]) -> Path:
        write_torch(tmp_path / name, {key: tensor(values) for key, values in state.items()})
        return tmp_path / name

    return write


def test_a_missing_file_comes_with_the_command_that_gets_it_the_file_that_does_as_well_and_the_way_without(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        begin_with_backbone(network(), tmp_path)
    for part in (
        "`centernet weights get resnet18_nchw_imagenet`",
        f"torchvision's resnet18-*.pth in {tmp_path} is taken too",
        "--set model.pretrained_model_dir=null",
    ):
        assert part in str(caught.value)


def test_where_nothing_is_published_the_official_systems_file_is_named() -> None:
    plain = Network(dla.Config(width=0.125), deconv.Config(width=0.125), conv.Config(hidden_channels=8), {}, scope=OrderedDict())
    cure = "to begin as the official system does, put http://dl.yf.io/dla/models/imagenet/dla34-ba72cf86.pth there"
    assert nothing_found(plain, "weights/backbone") == f"weights/backbone has none for the backbone; {cure}"
    assert nothing_found(network(), "weights/backbone") == "weights/backbone has none for the backbone"


@only_zip
def test_a_classifiers_checkpoint_is_found_by_its_keys_or_named(save: Save, tmp_path: Path) -> None:
    own, state = network(), classifier(network())
    save("resnet34-0.pth", classifier(network(34)))
    path = save("whatever.pth", state)
    for place in (path, tmp_path):
        assert begin_with_backbone(own, place) == f"{path}: {len(own.backbone_shapes())} parameters loaded"
    for name, key in backbone_torch_names(own).items():
        np.testing.assert_array_equal(own.parameters()[name].d.ravel(), state[key].ravel())


@only_zip
def test_a_published_file_comes_first(save: Save, tmp_path: Path) -> None:
    own = network()
    save("resnet18.pth", classifier(own))
    write_parameters(tmp_path / "resnet18_nchw_imagenet.h5", {name: variable.d for name, variable in own.parameters().items()})
    assert "resnet18_nchw_imagenet.h5: " in str(begin_with_backbone(own, tmp_path))


@only_zip
def test_a_checkpoint_of_another_backbone_is_refused_where_it_is_named(save: Save) -> None:
    path = save("resnet34.pth", classifier(network(34)))
    with pytest.raises(WeightsError, match="not the weights of this network: the file is a resnet34"):
        begin_with_backbone(network(), path)


def test_what_nothing_is_there_for_begins_drawn_or_is_missed(tmp_path: Path) -> None:
    mobile = Network(mobilenet_v2.Config(width=0.25), deconv.Config(width=0.125), conv.Config(), {}, scope=OrderedDict())
    (tmp_path / "damaged.pth").write_text("hello")  # is passed over
    assert begin_with_backbone(mobile, tmp_path) is None
    with pytest.raises(WeightsError, match=r"resnet18_nchw_imagenet\.h5: no such file"):
        begin_with_backbone(network(), tmp_path)
    with pytest.raises(WeightsError, match=r"none is published; torchvision's resnet34-\*\.pth is taken from that folder too"):
        begin_with_backbone(network(34), tmp_path / "gone")
