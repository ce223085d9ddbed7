"""What the export tests share: a graph run by NNabla and by both readers of ONNX."""

from __future__ import annotations

from collections.abc import Callable

import nnabla as nn
import numpy as np
import numpy.typing as npt
import pytest

from centernet.export.onnx import to_onnx
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.session import NnablaSession, OnnxRuntimeSession

Arrays = dict[str, npt.NDArray[np.float32]]
Build = Callable[[nn.Variable], dict[str, nn.Variable]]


@pytest.fixture
def agree() -> Callable[..., Arrays]:
    """Assert that ONNX Runtime and OpenVINO answer what NNabla answers; returns NNabla's answer."""

    def compare(build: Build, image: npt.NDArray[np.float32], *, atol: float = 1e-5, dynamic_batch: bool = False) -> Arrays:
        batch = 1 if dynamic_batch else len(image)
        source = nn.Variable((batch, *image.shape[1:]))
        model = to_onnx(build(source), {"image": source}, dynamic_batch=dynamic_batch).SerializeToString()
        expected = NnablaSession(build).run(image)
        for session in (OnnxRuntimeSession(model), OpenVinoSession(model)):
            found = session.run(image)
            assert set(found) == set(expected)
            for name, array in expected.items():
                assert found[name].shape == array.shape, (session.summary, name)
                np.testing.assert_allclose(found[name], array, atol=atol, rtol=1e-5, err_msg=f"{session.summary}: {name}")
        return expected

    return compare


@pytest.fixture
def image() -> npt.NDArray[np.float32]:
    """(2, 3, 8, 12), normal."""
    return np.random.default_rng(0).normal(size=(2, 3, 8, 12)).astype(np.float32)
