from __future__ import annotations

import builtins
from pathlib import Path

import nnabla as nn
import nnabla.functions as F
import numpy as np
import pytest

from centernet.errors import ConfigError, DeviceError
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.session import NnablaSession, OnnxRuntimeSession, Recent

ONNX_SESSIONS = [OpenVinoSession, OnnxRuntimeSession]


def images(batch: int, height: int = 8, width: int = 12) -> np.ndarray:
    return np.random.default_rng(batch).normal(size=(batch, 3, height, width)).astype(np.float32)


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5, err_msg=name)


def test_the_last_few_shapes_are_kept_and_the_oldest_is_forgotten() -> None:
    made: list[tuple[int, ...]] = []
    recent = Recent(lambda shape: made.append(shape) or shape, keep=2)
    for shape in [(1,), (2,), (1,), (3,), (1,), (2,)]:
        assert recent[shape] == shape
    assert made == [(1,), (2,), (3,), (2,)]


def test_an_nnabla_session_builds_one_graph_per_shape(build) -> None:
    shapes: list[tuple[int, ...]] = []

    def counting(x: nn.Variable) -> dict[str, nn.Variable]:
        shapes.append(x.shape)
        return build(x)

    session = NnablaSession(counting)
    for batch in (1, 2, 1):
        assert session.run(images(batch))["map"].shape == (batch, 4, 8, 12)
    assert shapes == [(1, 3, 8, 12), (2, 3, 8, 12)]


def test_an_answer_is_not_overwritten_by_the_next(build, make_onnx) -> None:
    for session in (NnablaSession(build), OpenVinoSession(make_onnx((1, 3, 8, 12)))):
        first = session.run(images(1))
        copy = {name: array.copy() for name, array in first.items()}
        session.run(images(1) + 1)
        assert_equal(first, copy)


def test_an_nnabla_session_sees_parameters_that_change(build) -> None:
    session = NnablaSession(build)
    session.run(images(1))
    for variable in nn.get_parameters().values():
        variable.d = 0
    assert not session.run(images(1))["map"].any()


def test_an_nnabla_session_works_where_graphs_run_while_they_are_built(build) -> None:
    with nn.auto_forward():
        found = NnablaSession(build).run(images(1))
        assert nn.get_auto_forward()
    assert_equal(found, NnablaSession(build).run(images(1)))


@pytest.mark.parametrize("kind", ONNX_SESSIONS)
@pytest.mark.parametrize("dynamic_batch", [True, False])
@pytest.mark.parametrize("from_file", [True, False])
def test_a_model_of_one_image_takes_any_number(kind, dynamic_batch, from_file, build, make_onnx, tmp_path: Path) -> None:
    model = make_onnx((1, 3, 8, 12), dynamic_batch=dynamic_batch)
    if from_file:
        (tmp_path / "model.onnx").write_bytes(model)
        model = tmp_path / "model.onnx"
    session = kind(model)
    assert session.input_shape == (None if dynamic_batch else 1, 3, 8, 12)
    for batch in (1, 3):
        assert_equal(session.run(images(batch)), NnablaSession(build).run(images(batch)))


@pytest.mark.parametrize("kind", ONNX_SESSIONS)
def test_a_model_with_another_fixed_batch_takes_just_that(kind, make_onnx) -> None:
    session = kind(make_onnx((2, 3, 8, 12)))
    session.run(images(2))
    with pytest.raises(ConfigError, match="its input is 2x3x8x12, found 3x3x8x12"):
        session.run(images(3))


@pytest.mark.parametrize("kind", ONNX_SESSIONS)
def test_images_of_another_size_are_refused(kind, make_onnx) -> None:
    session = kind(make_onnx((1, 3, 8, 12), dynamic_batch=True))
    with pytest.raises(ConfigError, match="its input is anyx3x8x12, found 1x3x8x8; use the size"):
        session.run(images(1, 8, 8))


@pytest.mark.parametrize("kind", ONNX_SESSIONS)
@pytest.mark.parametrize("model", [b"\xff not ONNX", "missing.onnx"])
def test_what_is_no_model_is_refused(kind, model) -> None:
    with pytest.raises(ConfigError, match=r"(the model|missing\.onnx): cannot be read as ONNX"):
        kind(model)


def test_the_summary_says_runtime_and_precision(build, make_onnx) -> None:
    model = make_onnx((1, 3, 8, 12))
    summaries = [session.summary for session in (NnablaSession(build), OpenVinoSession(model), OnnxRuntimeSession(model))]
    assert [text.split()[0] for text in summaries] == ["NNabla", "OpenVINO", "ONNX"]
    assert all(text.endswith("float32") for text in summaries)


def test_without_onnx_runtime_the_error_says_how_to_get_it(monkeypatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object) -> object:
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DeviceError, match="pip install onnxruntime"):
        OnnxRuntimeSession(b"")


def test_the_outputs_of_a_sink_stay_readable_after_buffers_are_cleared() -> None:
    """An output on the way to another output would be cleared if it were not kept."""

    def chain(x: nn.Variable) -> dict[str, nn.Variable]:
        h = F.relu(x)
        return {"early": h, "late": F.exp(F.sigmoid(h))}

    found = NnablaSession(chain).run(images(1))
    np.testing.assert_array_equal(found["early"], np.maximum(images(1), 0))
