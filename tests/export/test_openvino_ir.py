from __future__ import annotations

from pathlib import Path

import nnabla as nn
import nnabla.parametric_functions as PF
import numpy as np
import pytest

from centernet.errors import ConfigError, ExportError, OutputError
from centernet.export.onnx import to_onnx
from centernet.export.openvino_ir import read_ir_metadata, save_openvino
from centernet.inference.openvino_session import OpenVinoSession, openvino_core
from centernet.inference.session import NnablaSession

TEXTS = {"centernet": '{"names": ["Katze", "犬", "a\\"b<c>&"]}', "stride": "4"}


def network(x: nn.Variable) -> dict[str, nn.Variable]:
    return {"hm": PF.convolution(x, 5, (3, 3), pad=(1, 1), name="hm")}


@pytest.fixture
def written(tmp_path: Path, image) -> Path:
    x = nn.Variable((1, *image.shape[1:]))
    model = to_onnx(network(x), {"image": x}, dynamic_batch=True).SerializeToString()
    path = tmp_path / "new folder" / "model.xml"
    save_openvino(path, openvino_core().read_model(model), metadata=TEXTS)
    return path


def test_the_pair_of_files_computes_the_same_and_keeps_its_texts(written: Path, image) -> None:
    assert sorted(path.name for path in written.parent.iterdir()) == ["model.bin", "model.xml"]
    assert {key: text for key, text in read_ir_metadata(written).items() if key in TEXTS} == TEXTS
    np.testing.assert_allclose(OpenVinoSession(written).run(image)["hm"], NnablaSession(network).run(image)["hm"], atol=1e-5)


def test_a_file_without_its_weights_is_refused(written: Path) -> None:
    written.with_suffix(".bin").unlink()
    with pytest.raises(ExportError, match=r"model\.xml: its weights are not there, expected .*model\.bin"):
        read_ir_metadata(written)


@pytest.mark.parametrize("content", [None, "not xml", "<other/>"])
def test_what_is_not_openvinos_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ExportError, match=r"model\.xml: cannot be read as an OpenVINO model"):
        read_ir_metadata(path)
    with pytest.raises(ConfigError, match=r"model\.xml: cannot be read"):
        OpenVinoSession(path)


def test_a_folder_that_cannot_be_made_is_an_output_error_and_another_suffix_is_refused(written: Path, tmp_path: Path) -> None:
    model = openvino_core().read_model(written)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        save_openvino(tmp_path / "file" / "model.xml", model)
    with pytest.raises(ExportError, match=r"ends in \.xml"):
        save_openvino(tmp_path / "model.bin", model)
