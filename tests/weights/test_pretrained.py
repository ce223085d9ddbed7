from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from centernet.errors import WeightsError
from centernet.weights.layout import convert, shapes_of
from centernet.weights.pretrained import find, load_backbone
from centernet.weights.store import Array, write_parameters

rng = np.random.default_rng(0)
BACKBONE = {
    "conv1/conv/W": rng.standard_normal((8, 3, 7, 7)).astype(np.float32),
    "conv1/bn/mean": rng.standard_normal((1, 8, 1, 1)).astype(np.float32),
}
CLASSIFIER = {"fc/fc/conv/W": np.ones((10, 8, 1, 1), np.float32), "fc/fc/conv/b": np.ones(10, np.float32)}


def targets(parameters: dict[str, Array]) -> dict[str, SimpleNamespace]:
    """A network's variables: the backbone's and one of a head."""
    head = {"hm_final/conv/b": np.zeros(3)}
    return {name: SimpleNamespace(shape=values.shape, d=values * 0) for name, values in {**parameters, **head}.items()}


@pytest.mark.parametrize("stored", ["nchw", "nhwc"])
@pytest.mark.parametrize("stored_channels", [3, 4])
@pytest.mark.parametrize("wanted", ["nchw", "nhwc"])
@pytest.mark.parametrize("wanted_channels", [3, 4])
def test_a_published_file_fits_any_layout_and_channels(
    tmp_path: Path, stored: str, stored_channels: int, wanted: str, wanted_channels: int
) -> None:
    file = convert({**BACKBONE, **CLASSIFIER}, layout=stored, channels=stored_channels)
    write_parameters(tmp_path / f"resnet18_{stored}_imagenet.h5", file)
    expected = convert(BACKBONE, layout=wanted, channels=wanted_channels)
    variables = targets(expected)
    path, report = load_backbone(tmp_path, "resnet18", variables, shapes_of(expected))
    assert path.name == f"resnet18_{stored}_imagenet.h5"
    assert report.loaded == tuple(BACKBONE)
    assert report.unused == tuple(CLASSIFIER)
    assert report.missing == ()
    assert bool(report.reshaped) == ((stored, stored_channels) != (wanted, wanted_channels))
    for name, values in expected.items():
        np.testing.assert_array_equal(variables[name].d, values)
    assert not variables["hm_final/conv/b"].d.any()


def test_the_file_in_the_wanted_layout_comes_first(tmp_path: Path) -> None:
    for layout in ("nchw", "nhwc"):
        write_parameters(tmp_path / f"dla34_{layout}_imagenet.h5", BACKBONE)
    assert find(tmp_path, "dla34", "nhwc").name == "dla34_nhwc_imagenet.h5"


def test_what_the_file_does_not_have_is_reported(tmp_path: Path) -> None:
    write_parameters(tmp_path / "resnet18_nchw_imagenet.h5", {"conv1/conv/W": BACKBONE["conv1/conv/W"]})
    _, report = load_backbone(tmp_path, "resnet18", targets(BACKBONE), shapes_of(BACKBONE))
    assert report.missing == ("conv1/bn/mean",)


def test_a_missing_file_comes_with_the_address_and_the_way_without(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as error:
        load_backbone(tmp_path, "dla34", targets(BACKBONE), shapes_of(BACKBONE))
    text = str(error.value)
    assert f"{tmp_path}/dla34_nchw_imagenet.h5: no such file" in text
    assert "nnabla.org/pretrained-models/nnabla-examples/object-detection/ceneternet/backbone/dla34_nchw_imagenet.h5" in text
    assert "model.pretrained_model_dir to null" in text


def test_a_file_of_another_network_or_width_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet18_nchw_imagenet.h5"
    write_parameters(path, {"stem/W": np.ones((2, 3, 7, 7))})
    with pytest.raises(WeightsError, match="none of the 2 parameters of resnet18"):
        load_backbone(tmp_path, "resnet18", targets(BACKBONE), shapes_of(BACKBONE))
    wide = {"conv1/conv/W": np.ones((64, 3, 7, 7)), "conv1/bn/mean": np.ones((1, 64, 1, 1))}
    write_parameters(path, wide)
    with pytest.raises(WeightsError, match=r"64 channels, the network's 8 \(width\).*pretrained_model_dir to null"):
        load_backbone(tmp_path, "resnet18", targets(BACKBONE), shapes_of(BACKBONE))
