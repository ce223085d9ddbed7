from __future__ import annotations

import zipfile
from pathlib import Path

import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
import numpy as np
import pytest
from nnabla.utils.load import load

from centernet.errors import ConfigError, ExportError, OutputError
from centernet.export.nnp import read_description, save_nnp
from centernet.inference.session import NnablaSession, NnpSession


def network(x: nn.Variable) -> dict[str, nn.Variable]:
    h = F.relu(PF.batch_normalization(PF.convolution(x, 4, (3, 3), pad=(1, 1), name="conv"), batch_stat=False))
    return {"hm": PF.convolution(h, 5, (1, 1), name="hm"), "wh": PF.convolution(h, 2, (1, 1), name="wh")}


def per_class_top(x: nn.Variable) -> dict[str, nn.Variable]:
    heatmap = network(x)["hm"]
    scores, cells = F.top_k_data(F.reshape(heatmap, (*heatmap.shape[:2], -1)), 3, base_axis=2, with_index=True)
    return {"scores": scores, "cells": cells}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "model.nnp"


def test_nnabla_loads_the_file_and_computes_the_same(path: Path, image) -> None:
    x = nn.Variable((1, *image.shape[1:]))
    save_nnp(path, network(x), {"x": x})
    expected = NnablaSession(network).run(image)
    nn.clear_parameters()

    loaded = load([str(path)], batch_size=len(image)).networks["runtime"]
    loaded.variables["x"].variable_instance.d = image
    for name, array in expected.items():
        output = loaded.variables[name].variable_instance
        output.forward()
        np.testing.assert_allclose(output.d, array, atol=1e-6)


@pytest.mark.parametrize("build", [network, per_class_top])
def test_a_session_on_the_file_takes_any_number_of_images(build, path: Path, image) -> None:
    x = nn.Variable((1, *image.shape[1:]))
    save_nnp(path, build(x), {"x": x})
    expected = NnablaSession(build).run(image)
    nn.clear_parameters()

    session = NnpSession(path)
    for batch in (image, image[:1]):
        found = session.run(batch)
        assert set(found) == set(expected)
        for name, array in found.items():
            np.testing.assert_allclose(array, expected[name][: len(batch)], atol=1e-6)
    assert nn.get_parameters() == {}, "the file's parameters stay in the session"


def test_only_the_parameters_used_are_stored_and_the_entries_are_the_predecessors(path: Path) -> None:
    x = nn.Variable((1, 3, 8, 12))
    PF.affine(x, 7, name="unused")
    outputs = network(x)
    save_nnp(path, outputs, {"x": x}, description='{"stride": 4}')
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["nnp_version.txt", "network.nntxt", "parameter.h5", "centernet.json"]
    nn.clear_parameters()
    load([str(path)])
    assert "conv/conv/W" in nn.get_parameters()
    assert not any(name.startswith("unused") for name in nn.get_parameters())


def test_the_description_comes_back(path: Path) -> None:
    x = nn.Variable((1, 3, 8, 12))
    save_nnp(path, network(x), {"x": x}, description='{"names": ["Katze", "犬"]}')
    assert read_description(path) == '{"names": ["Katze", "犬"]}'


def test_a_file_without_description_has_none(path: Path) -> None:
    x = nn.Variable((1, 3, 8, 12))
    save_nnp(path, network(x), {"x": x})
    assert read_description(path) is None


@pytest.mark.parametrize("content", [None, b"not a zip"])
def test_what_is_no_nnp_is_refused(content, tmp_path: Path) -> None:
    path = tmp_path / "model.nnp"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ExportError, match=r"model\.nnp: cannot be read"):
        read_description(path)
    with pytest.raises(ConfigError, match=r"model\.nnp: cannot be read"):
        NnpSession(path)


def test_a_channels_last_graph_is_written_without_running_it(path: Path) -> None:
    x_NHWC = nn.Variable((1, 8, 12, 4))
    y_NHWC = PF.convolution(x_NHWC, 4, (3, 3), pad=(1, 1), channel_last=True)
    save_nnp(path, {"hm": y_NHWC}, {"x": x_NHWC})
    assert NnpSession(path).input_shape == (None, 8, 12, 4)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    x = nn.Variable((1, 3, 8, 12))
    with pytest.raises(ExportError, match=r"ends in \.nnp"):
        save_nnp(tmp_path / "model.zip", network(x), {"x": x})


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    x = nn.Variable((1, 3, 8, 12))
    with pytest.raises(OutputError):
        save_nnp(tmp_path / "file" / "model.nnp", network(x), {"x": x})


def test_images_of_another_size_are_refused(path: Path) -> None:
    x = nn.Variable((1, 3, 8, 12))
    save_nnp(path, network(x), {"x": x})
    with pytest.raises(ConfigError, match=r"its input is anyx3x8x12, found 1x3x8x8"):
        NnpSession(path).run(np.zeros((1, 3, 8, 8), np.float32))
