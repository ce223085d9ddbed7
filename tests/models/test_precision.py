"""Where half precision ends inside a network."""

from __future__ import annotations

from collections import Counter

import nnabla as nn
import numpy as np
import pytest
from nnabla.ext_utils import get_extension_context

from centernet.models.backbones import resnet
from centernet.models.heads import conv
from centernet.models.initial import fan_out_normal
from centernet.models.necks import deconv
from centernet.models.network import Network
from centernet.models.ops import Ops
from centernet.models.precision import for_statistics, in_float
from centernet.models.specs import HeadSpec

# What a context of NNabla's extensions asks for, in half precision.
CUDNN = nn.Context(["cudnn:half", "cudnn:float", "cuda:half", "cuda:float", "cpu:float"], "CudaCachedArray", "1")
CUDA = nn.Context(["cuda:half", "cuda:float", "cpu:float"], "CudaCachedArray", "1")
CPU = get_extension_context("cpu", type_config="half")


def test_in_float_keeps_the_device_and_the_order_of_backends() -> None:
    found = in_float(CUDNN)
    assert found.backend == ["cudnn:float", "cuda:float", "cpu:float"]
    assert (found.array_class, found.device_id) == ("CudaCachedArray", "1")


@pytest.mark.parametrize(
    ("context", "backends"),
    [
        (CUDNN, ["cudnn:half", "cudnn:float", "cuda:half", "cuda:float", "cpu:float"]),
        (CUDA, ["cuda:float", "cpu:float"]),
        (CPU, ["cpu:float"]),
        (nn.Context(["cpu:float"], "CpuCachedArray", "0"), ["cpu:float"]),
    ],
)
def test_batch_norm_is_in_half_precision_only_where_its_statistics_are_not(context: nn.Context, backends: list[str]) -> None:
    assert for_statistics(context).backend == backends


def test_a_layer_in_half_precision_keeps_parameters_and_running_statistics_in_float32() -> None:
    with nn.context_scope(CPU):
        ops = Ops(training=True)
        image = nn.Variable((2, 3, 6, 6))
        with nn.auto_forward(False):
            y = ops.conv_bn(image, 4, 3, initial=fan_out_normal)
        image.d = np.random.default_rng(0).normal(size=image.shape) + 1000  # its square is beyond half precision
        types: Counter[tuple[str, str]] = Counter()
        y.forward(function_post_hook=lambda f: types.update([(f.info.type_name, str(f.outputs[0].data.dtype))]))
    assert types == {("Convolution", "float16"): 1, ("BatchNormalization", "float32"): 1, ("ReLU", "float16"): 1}
    parameters = nn.get_parameters(grad_only=False)
    assert {name: str(parameter.data.dtype) for name, parameter in parameters.items()} == dict.fromkeys(parameters, "float32")
    assert np.isfinite(parameters["bn/var"].d).all()
    assert np.isfinite(y.d).all()


def draw(parameters: dict[str, nn.Variable]) -> None:
    """Values that keep signals at about 1 from end to end; the initial ones of heads and deconvolutions are tiny."""
    rng = np.random.default_rng(1)
    for name, parameter in parameters.items():
        if parameter.ndim == 4 and name.endswith("W"):
            fan = 4 * parameter.shape[0] if "deconv/" in name else np.prod(parameter.shape[1:])
            parameter.d = rng.normal(size=parameter.shape) * np.sqrt(2 / fan)
        elif not name.endswith(("gamma", "var")):
            parameter.d = rng.normal(size=parameter.shape) * 0.1


@pytest.mark.slow
def test_a_network_in_half_precision_has_the_outputs_and_gradients_of_float32() -> None:
    heads = {"heatmap": HeadSpec(scope="hm", channels=2, kind="heatmap"), "size": HeadSpec(scope="wh", channels=2, kind="regression")}
    parts = (resnet.Config(width=0.125), deconv.Config(channels=(16, 16, 16)), conv.Config(hidden_channels=16))
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(1, 3, 64, 64)).astype(np.float32)
    outputs, gradients = [], []
    for context in (in_float(CPU), CPU):
        nn.clear_parameters()
        with nn.context_scope(context), nn.auto_forward(False):
            network = Network(*parts, heads)
            draw(network.parameters())
            image = nn.Variable(pixels.shape)
            image.d = pixels
            (maps,) = network(image, training=True, batch_stat=False)
            nn.forward_all(list(maps.values()))
            outputs.append({name: map_.d.astype(np.float32) for name, map_ in maps.items()})
            for parameter in nn.get_parameters().values():
                parameter.grad.zero()
            maps["heatmap"].backward(1.0)
            gradients.append({name: p.g.astype(np.float32) for name, p in nn.get_parameters().items() if not name.startswith("wh")})
    for name, exact in outputs[0].items():
        np.testing.assert_allclose(outputs[1][name], exact, atol=0.01 * np.abs(exact).max(), err_msg=name)
    for name, exact in gradients[0].items():
        assert np.isfinite(gradients[1][name]).all(), name
        # rounding moves maxima and signs of ReLU: the further down, the more
        assert np.linalg.norm(gradients[1][name] - exact) <= 0.2 * np.linalg.norm(exact) + 1e-3, name
