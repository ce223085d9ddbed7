"""The layer that overflowed first is named, forward and backward, in float32 and in half precision."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.engine.communicator import Single
from centernet.engine.context import resolve
from centernet.engine.precision import LossScalingConfig
from centernet.engine.step import NonFiniteError, TrainStep
from centernet.errors import TrainingError

DYNAMIC = LossScalingConfig(scale=8.0, dynamic=True, max_skips=1)


def train(step: TrainStep, batch: dict[str, Any]) -> None:
    for _ in range(10):
        step.run(batch, 1e-2)


@pytest.fixture
def failure(toy: ModuleType) -> Callable[..., str]:
    """What a training says that cannot go on."""

    def fail(
        type_config: str = "float",
        *,
        arrays: Callable[[dict[str, Any]], dict[str, Any]] = dict,
        parameters: dict[str, float] | None = None,
        scaling: LossScalingConfig | None = None,
    ) -> str:
        toy.draw_parameters()
        for name, value in (parameters or {}).items():
            nn.get_parameters()[name].d = value
        batch = arrays(dict(next(toy.Loader().epoch(0)).arrays))
        with nn.context_scope(resolve("cpu", type_config=type_config).context):
            step = toy.make_step(Single(), scaling=scaling)
            with pytest.raises(TrainingError) as raised:
                train(step, batch)
        assert isinstance(raised.value, NonFiniteError) == (scaling is None)
        return str(raised.value)

    return fail


def test_an_input_that_is_not_finite_is_named(failure: Callable[..., str]) -> None:
    def spoiled(arrays: dict[str, Any]) -> dict[str, Any]:
        arrays["target"] = arrays["target"].copy()
        arrays["target"][1] = np.inf
        return arrays

    text = failure(arrays=spoiled)
    assert (
        "the loss is not finite (square = inf, absolute = inf); the input 'target' itself is not finite (128 of 512 numbers, float32)"
        in text
    )


def test_a_parameter_that_is_not_finite_is_named(failure: Callable[..., str]) -> None:
    assert "the parameter 'one/conv/W' itself is not finite (162 of 162 numbers, float32)" in failure(parameters={"one/conv/W": np.nan})


def test_a_layer_without_parameters_is_named_after_the_last_one_that_has_some(failure: Callable[..., str]) -> None:
    text = failure(parameters={"two/conv/W": 1e30})
    assert "the first output that is not finite is that of Mul2 after 'two/conv' (" in text
    assert "float32); lower the learning rate" in text


def test_the_first_layer_beyond_half_precision_is_named_after_skips_in_a_row(failure: Callable[..., str]) -> None:
    text = failure("half", arrays=lambda arrays: {**arrays, "image": arrays["image"] * 1e5}, scaling=DYNAMIC)
    assert text.startswith("losses or gradients are not finite in 2 steps in a row, the last with loss scale 4: ")
    assert "the first output that is not finite is that of Convolution 'one/conv' (" in text
    assert " of 1536 numbers, float16); lower the learning rate or train in float32" in text


def test_a_gradient_beyond_half_precision_is_named_with_the_parameter_it_is_of(failure: Callable[..., str]) -> None:
    # the loss and the gradient of each cell fit; added up over the cells they do not
    scaling = LossScalingConfig(scale=4096.0, dynamic=True, max_skips=0)
    text = failure("half", parameters={"two/conv/b": 5.0}, scaling=scaling)
    assert (
        "in 1 steps in a row, the last with loss scale 4096: the first gradient that is not finite is made by Convolution 'two/conv'"
        in text
    )
    assert "with respect to the parameter 'two/conv/" in text
    assert "numbers, float16)" in text


@pytest.mark.parametrize("scaling", [None, DYNAMIC])
def test_the_layer_is_named_not_the_running_statistics_that_its_overflow_spoiled(
    failure: Callable[..., str], scaling: LossScalingConfig | None
) -> None:
    text = failure(parameters={"one/conv/W": 1e38}, scaling=scaling)
    assert "the first output that is not finite is that of Convolution 'one/conv' (" in text
    assert "itself is not finite" not in text


def test_running_statistics_that_are_read_are_named(toy: ModuleType) -> None:
    toy.draw_parameters()
    nn.get_parameters(grad_only=False)["norm/bn/var"].d = np.nan
    step = toy.make_step(Single(), batch_stat=False)
    with pytest.raises(NonFiniteError, match="the parameter 'norm/bn/var' itself is not finite"):
        train(step, dict(next(toy.Loader().epoch(0)).arrays))


def test_looking_for_it_leaves_running_statistics_alone(toy: ModuleType) -> None:
    toy.draw_parameters()
    step = toy.make_step(Single(), scaling=LossScalingConfig(dynamic=True, max_skips=0))
    batch = dict(next(toy.Loader().epoch(0)).arrays)
    step.run(batch, 1e-2)
    before = toy.parameter_values()
    with pytest.raises(TrainingError, match="the input 'image' itself is not finite"):
        step.run({**batch, "image": batch["image"] * np.nan}, 1e-2)
    assert all(values.tobytes() == before[name].tobytes() for name, values in toy.parameter_values().items())
