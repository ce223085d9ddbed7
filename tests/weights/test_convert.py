from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from centernet.errors import WeightsError
from centernet.weights.convert import convert_file
from centernet.weights.store import ParameterFile, read_parameters, write_parameters

PARAMETERS = {
    "conv1/conv/W": np.random.default_rng(0).standard_normal((8, 3, 7, 7)).astype(np.float32),
    "conv1/bn/mean": np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1),
    "fc/affine/W": np.ones((8, 5), np.float32),
    "fc/affine/b": np.ones(5, np.float32),
}
NEED_GRAD = {"conv1/conv/W": False, "conv1/bn/mean": False, "fc/affine/W": True, "fc/affine/b": False}
DESCRIPTION = {"stride": 4, "layout": "nchw", "input_channels": 3}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_parameters(tmp_path / "in.h5", PARAMETERS, need_grad=NEED_GRAD, description=DESCRIPTION)
    return tmp_path / "in.h5"


def assert_same(a: ParameterFile, b: ParameterFile) -> None:
    assert list(a.parameters) == list(b.parameters)
    assert all(np.array_equal(a.parameters[name], b.parameters[name]) for name in a.parameters)
    assert (a.need_grad, a.description) == (b.need_grad, b.description)


def test_there_and_back_gives_the_same_file_attributes_included(source: Path, tmp_path: Path) -> None:
    line = convert_file(source, tmp_path / "there.h5", layout="nhwc", channels=4)
    assert "nchw -> nhwc" in line
    assert "3 input channels -> 4 input channels" in line
    there = read_parameters(tmp_path / "there.h5")
    assert there.parameters["conv1/conv/W"].shape == (8, 7, 7, 4)
    assert there.need_grad == NEED_GRAD
    assert there.description == {"stride": 4, "layout": "nhwc", "input_channels": 4}
    convert_file(tmp_path / "there.h5", tmp_path / "back.h5", layout="nchw", channels=3)
    assert (tmp_path / "back.h5").read_bytes() == source.read_bytes()


def test_without_a_layout_the_layout_is_kept(source: Path, tmp_path: Path) -> None:
    convert_file(source, tmp_path / "nhwc.h5", layout="nhwc")
    convert_file(tmp_path / "nhwc.h5", tmp_path / "padded.h5", channels=4)
    assert read_parameters(tmp_path / "padded.h5").parameters["conv1/conv/W"].shape == (8, 7, 7, 4)


def test_no_change_is_a_copy_and_says_so(source: Path, tmp_path: Path) -> None:
    assert "no change (nchw, 3 input channels), a copy" in convert_file(source, tmp_path / "same.h5", layout="nchw")
    assert_same(read_parameters(tmp_path / "same.h5"), read_parameters(source))


def test_a_file_may_be_converted_in_place(source: Path) -> None:
    convert_file(source, source, layout="nhwc")
    assert read_parameters(source).parameters["conv1/conv/W"].shape == (8, 7, 7, 3)


def test_the_affine_layer_becomes_a_convolution_and_keeps_its_trainability(source: Path, tmp_path: Path) -> None:
    assert "affine -> 1x1 convolution" in convert_file(source, tmp_path / "out.h5", layout="nhwc", affine=True)
    file = read_parameters(tmp_path / "out.h5")
    assert file.parameters["fc/fc/conv/W"].shape == (5, 1, 1, 8)
    assert (file.need_grad["fc/fc/conv/W"], file.need_grad["fc/fc/conv/b"]) == (True, False)


def test_a_file_of_unknown_layout_is_named(tmp_path: Path) -> None:
    write_parameters(tmp_path / "odd.h5", {"w": np.ones(3)})
    with pytest.raises(WeightsError, match=r"odd\.h5: cannot tell"):
        convert_file(tmp_path / "odd.h5", tmp_path / "out.h5", layout="nchw")
    assert not (tmp_path / "out.h5").exists()
