"""Tiny models for the inference tests."""

from __future__ import annotations

from collections.abc import Callable

import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
import pytest

from centernet.export.onnx import to_onnx

Build = Callable[[nn.Variable], dict[str, nn.Variable]]


@pytest.fixture
def build() -> Build:
    """One convolution and one sum."""

    def network(x: nn.Variable) -> dict[str, nn.Variable]:
        y = PF.convolution(x, 4, (3, 3), pad=(1, 1), name="conv")
        return {"map": F.relu(y), "total": F.reshape(y, (x.shape[0], -1)) * 2.0}

    return network


@pytest.fixture
def make_onnx(build: Build) -> Callable[..., bytes]:
    """The same as ONNX, for an input shape."""

    def make(shape: tuple[int, ...], *, dynamic_batch: bool = False) -> bytes:
        x = nn.Variable(shape)
        model = to_onnx(build(x), {"image": x}, metadata={"centernet": "{}"}, dynamic_batch=dynamic_batch)
        return bytes(model.SerializeToString())

    return make
