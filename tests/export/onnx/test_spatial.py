from __future__ import annotations

import itertools

import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
import numpy as np
import pytest

from centernet.errors import ExportError
from centernet.export.onnx import to_onnx
from centernet.inference.openvino_session import OpenVinoSession
from centernet.inference.session import OnnxRuntimeSession


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": (3, 3), "pad": (1, 1), "stride": (2, 2)},
        {"kernel": (7, 7), "pad": (3, 3), "stride": (2, 2), "with_bias": False},
        {"kernel": (1, 1)},
        {"kernel": (3, 1), "pad": (2, 1), "stride": (1, 2), "dilation": (2, 1)},
        {"kernel": (3, 3), "group": 3},
    ],
)
def test_convolution_gives_the_same_numbers(options, agree, image) -> None:
    agree(lambda x: {"y": PF.convolution(x, 6, **options)}, image)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": (4, 4), "pad": (1, 1), "stride": (2, 2), "with_bias": False},
        {"kernel": (4, 4), "pad": (1, 1), "stride": (2, 2), "group": 3},
        {"kernel": (3, 3), "pad": (1, 1), "stride": (2, 2), "output_padding": (1, 1)},
        {"kernel": (2, 3), "dilation": (2, 1)},
    ],
)
def test_deconvolution_gives_the_same_numbers(options, agree, image) -> None:
    agree(lambda x: {"y": PF.deconvolution(x, 6, **options)}, image)


@pytest.mark.parametrize("scale", [(2, 2), (3, 1)])
def test_nearest_enlargement_gives_the_same_numbers(scale, agree, image) -> None:
    for dynamic_batch in (False, True):
        agree(lambda x: {"y": F.interpolate(x, scale=scale, mode="nearest", align_corners=False)}, image, dynamic_batch=dynamic_batch)


def test_enlargement_of_a_channels_last_map_is_written_between_two_transpositions() -> None:
    x = nn.Variable((1, 4, 6, 3))
    y = F.interpolate(x, scale=(2, 2), mode="nearest", align_corners=False, channel_last=True)
    model = to_onnx({"y": y}, {"x": x})
    assert [node.op_type for node in model.graph.node] == ["Transpose", "Resize", "Transpose"]


@pytest.mark.parametrize("options", [{"mode": "linear", "align_corners": False}, {"mode": "nearest", "align_corners": True}])
def test_other_enlargement_is_refused(options) -> None:
    x = nn.Variable((1, 3, 4, 6))
    with pytest.raises(ExportError, match="only 'nearest' by whole numbers"):
        to_onnx({"y": F.interpolate(x, scale=(2, 2), **options)}, {"x": x})


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 2, 1), (3, 1, 1), (2, 2, 0), (3, 3, 0), (3, 2, 0)])
@pytest.mark.parametrize("ignore_border", [True, False])
@pytest.mark.parametrize("size", [(8, 12), (7, 9)])
def test_max_pooling_gives_the_same_numbers(kernel, stride, pad, ignore_border, size, agree) -> None:
    negative = -1 - np.random.default_rng(0).random((1, 2, *size)).astype(np.float32)  # so that zero padding would win
    agree(lambda x: {"y": F.max_pooling(x, (kernel,) * 2, (stride,) * 2, ignore_border, (pad,) * 2)}, negative)


def _fill_statistics() -> None:
    rng = np.random.default_rng(1)
    for name, variable in nn.get_parameters(grad_only=False).items():
        variable.d = rng.random(variable.shape) + (0.5 if name.endswith("var") else 0)


@pytest.mark.parametrize("options", [{}, {"no_scale": True}, {"no_bias": True}])
def test_batch_normalization_uses_the_running_statistics(options, agree, image) -> None:
    PF.batch_normalization(nn.Variable(image.shape), batch_stat=False, **options)
    _fill_statistics()
    agree(lambda x: {"y": PF.batch_normalization(x, batch_stat=False, **options)}, image)


def test_batch_normalization_that_measures_its_batch_is_refused(image) -> None:
    x = nn.Variable(image.shape)
    with pytest.raises(ExportError, match="inference mode"):
        to_onnx({"y": PF.batch_normalization(x, batch_stat=True)}, {"x": x})


def test_affine_flattens_what_is_behind_the_batch(agree, image) -> None:
    agree(lambda x: {"y": PF.affine(x, 5)}, image, dynamic_batch=True)


def test_affine_over_several_leading_axes_is_refused(image) -> None:
    x = nn.Variable(image.shape)
    with pytest.raises(ExportError, match="base_axis 2"):
        to_onnx({"y": PF.affine(x, 5, base_axis=2)}, {"x": x})


def _small_network(x: nn.Variable, *, channel_last: bool) -> nn.Variable:
    kwargs = {"channel_last": channel_last}
    x = PF.convolution(x, 4, (3, 3), pad=(1, 1), stride=(2, 2), name="c1", **kwargs)
    x = F.relu(PF.batch_normalization(x, axes=[3 if channel_last else 1], batch_stat=False, name="b1"))
    x = F.max_pooling(x, (3, 3), (2, 2), pad=(1, 1), **kwargs)
    return PF.deconvolution(x, 4, (4, 4), pad=(1, 1), stride=(2, 2), group=2, name="d1", **kwargs)


def test_a_channels_last_network_equals_its_channels_first_twin(image) -> None:
    """NNabla's CPU kernels cannot run channels-last, so the twin's answer is the reference."""
    x_NCHW = nn.Variable(image.shape)
    y_NCHW = _small_network(x_NCHW, channel_last=False)
    _fill_statistics()
    model = to_onnx({"y": y_NCHW}, {"x": x_NCHW}).SerializeToString()
    expected = OpenVinoSession(model).run(image)["y"]
    values = {name: variable.d.copy() for name, variable in nn.get_parameters(grad_only=False).items()}
    nn.clear_parameters()

    x_NHWC = nn.Variable(image.transpose(0, 2, 3, 1).shape)
    y_NHWC = _small_network(x_NHWC, channel_last=True)
    for name, variable in nn.get_parameters(grad_only=False).items():
        variable.d = values[name].transpose(0, 2, 3, 1) if values[name].ndim == 4 else values[name]
    model = to_onnx({"y": y_NHWC}, {"x": x_NHWC}).SerializeToString()
    for session in (OpenVinoSession(model), OnnxRuntimeSession(model)):
        found = session.run(np.ascontiguousarray(image.transpose(0, 2, 3, 1)))["y"]
        np.testing.assert_allclose(found.transpose(0, 3, 1, 2), expected, atol=1e-5)


def test_the_parameters_keep_their_names(image) -> None:
    x = nn.Variable(image.shape)
    model = to_onnx({"y": _small_network(x, channel_last=False)}, {"x": x})
    assert set(nn.get_parameters(grad_only=False)) == {tensor.name for tensor in model.graph.initializer}
    assert list(itertools.chain(*(node.input[1:2] for node in model.graph.node if node.op_type == "Conv"))) == ["c1/conv/W"]
