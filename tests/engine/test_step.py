from __future__ import annotations

from types import ModuleType
from typing import Any

import nnabla as nn
import nnabla.functions as F
import nnabla.parametric_functions as PF
import numpy as np
import pytest

from centernet.engine.communicator import Single
from centernet.engine.context import resolve
from centernet.engine.gradients import DeviceGradients, FlatGradients, is_plain_cpu
from centernet.engine.precision import LossScaler, LossScalingConfig
from centernet.engine.solver import Solver, SolverConfig
from centernet.engine.step import NonFiniteError, TrainStep, ValidationStep


def line_step(**options: Any) -> TrainStep:
    """Fits y = w x, one parameter, with plain descent: every number can be checked by hand."""
    PF.get_parameter_or_create("w", (1,), initializer=np.array([2.0], np.float32))

    def losses(inputs: dict[str, nn.Variable]) -> dict[str, nn.Variable]:
        weight = PF.get_parameter_or_create("w", (1,))
        return {"linear": F.sum(inputs["x"] * F.broadcast(weight, inputs["x"].shape)) / inputs["count"]}

    settings: dict[str, Any] = {"loss_weights": {"linear": 3.0}, "solver": Solver(SolverConfig(name="sgd", momentum=0.0)), **options}
    return TrainStep(losses, scaler=settings.pop("scaler", LossScaler()), communicator=Single(), counts=("count",), **settings)


def batch(*x: float, count: float = 1.0) -> dict[str, Any]:
    return {"x": np.array(x, np.float32), "count": np.full(len(x), count)}


def test_a_step_reports_unweighted_losses_their_weighted_total_and_the_gradients_norm() -> None:
    report = line_step().run(batch(1.0, 3.0), 0.1)
    # count is 1 + 1: loss = w * (1 + 3) / 2 = 4, gradient of the total = 3 * (1 + 3) / 2 = 6
    assert report.losses == {"linear": pytest.approx(4.0)}
    assert report.total == pytest.approx(12.0)
    assert report.gradient_norm == pytest.approx(6.0)
    assert nn.get_parameters()["w"].d == pytest.approx(2.0 - 0.1 * 6)


def test_gradients_are_clipped_to_the_norm_given() -> None:
    report = line_step(gradient_clip=1.5).run(batch(1.0, 3.0), 0.1)
    assert report.gradient_norm == pytest.approx(6.0)
    assert nn.get_parameters()["w"].d == pytest.approx(2.0 - 0.1 * 1.5)


def test_the_loss_scale_leaves_the_update_as_it_is() -> None:
    report = line_step(scaler=LossScaler(LossScalingConfig(scale=1024.0))).run(batch(1.0, 3.0), 0.1)
    assert report.gradient_norm == pytest.approx(6.0)
    assert nn.get_parameters()["w"].d == pytest.approx(2.0 - 0.1 * 6)


def test_batches_of_changing_sizes_train_the_same_parameters() -> None:
    step = line_step()
    for size in (1, 2, 5, 3, 1, 2):
        before = float(nn.get_parameters()["w"].d[0])
        step.run(batch(*[2.0] * size), 0.1)
        assert nn.get_parameters()["w"].d == pytest.approx(before - 0.1 * 3 * 2)


def test_a_loss_that_is_not_finite_raises_and_updates_nothing() -> None:
    step = line_step()
    with pytest.raises(NonFiniteError, match=r"the loss is not finite \(linear = inf\)") as raised:
        step.run(batch(np.inf), 0.1)
    assert raised.value.is_here
    assert nn.get_parameters()["w"].d == 2.0


@pytest.mark.parametrize("is_flat", [True, False])
def test_a_gradient_too_large_to_square_is_still_finite(is_flat: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("centernet.engine.step.is_plain_cpu", lambda context: is_flat)
    report = line_step().run(batch(1e30), 0.0)
    assert report.gradient_norm == pytest.approx(3e30, rel=1e-5)


def test_an_overflow_under_a_dynamic_scale_leaves_everything_as_it_was(toy: ModuleType) -> None:
    toy.draw_parameters()
    step = toy.make_step(Single(), scaling=LossScalingConfig(scale=2.0, dynamic=True))
    first, bad, *_ = toy.Loader(poison=(0, 1, 0)).epoch(0)
    step.run(first.arrays, 1e-2)
    before, states = toy.parameter_values(), step.solver.states()
    assert step.run(bad.arrays, 1e-2).is_skipped
    assert step.scaler.scale == 1.0
    for name, values in toy.parameter_values().items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)
    assert all((step.solver.states()[name][key] == array).all() for name, arrays in states.items() for key, array in arrays.items())


def test_parameters_the_losses_do_not_depend_on_are_neither_trained_nor_saved(toy: ModuleType) -> None:
    PF.get_parameter_or_create("fc/W", (2,), initializer=np.ones(2, np.float32))
    toy.draw_parameters()
    step = toy.make_step(Single())
    before = nn.get_parameters()["fc/W"].d.copy()
    step.run(next(toy.Loader().epoch(0)).arrays, 1e-2)
    np.testing.assert_array_equal(nn.get_parameters()["fc/W"].d, before)
    assert "fc/W" not in step.parameters()
    assert set(step.solver.states()) == {name for name in nn.get_parameters() if name != "fc/W"}


def test_a_step_equals_nnablas_own_forward_backward_and_update(toy: ModuleType) -> None:
    batches = list(toy.Loader().epoch(0))
    toy.draw_parameters()
    step = toy.make_step(Single(), solver=SolverConfig(weight_decay=1e-3))
    for each in batches:
        step.run(each.arrays, 1e-2)
    found = toy.parameter_values()

    nn.clear_parameters()
    toy.draw_parameters()
    inputs = {name: nn.Variable(() if name == "count" else array.shape) for name, array in batches[0].arrays.items()}
    with nn.auto_forward(False):
        losses = toy.losses(inputs)
        total = losses["square"] + 0.1 * losses["absolute"]
    solver = Solver(SolverConfig(weight_decay=1e-3))
    solver.set_parameters(nn.get_parameters())
    for each in batches:
        for name, variable in inputs.items():
            variable.d = np.float32(each.arrays[name].sum()) if name == "count" else each.arrays[name]
        total.forward()
        solver.zero_grad()
        total.backward()
        solver.update(1e-2)
    for name, values in toy.parameter_values().items():
        np.testing.assert_allclose(found[name], values, rtol=2e-5, atol=1e-6, err_msg=name)


def test_gradients_on_a_device_and_flat_ones_train_alike(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for is_flat in (True, False):
        nn.clear_parameters()
        toy.draw_parameters()
        monkeypatch.setattr("centernet.engine.step.is_plain_cpu", lambda context, is_flat=is_flat: is_flat)
        step = toy.make_step(Single(), scaling=LossScalingConfig(scale=4.0, dynamic=True), gradient_clip=5.0)
        batches = list(toy.Loader(poison=(0, 2, 1)).epoch(0))
        reports = [step.run(each.arrays, 1e-2) for each in batches]
        assert isinstance(step.prepare(batches[0].arrays), FlatGradients if is_flat else DeviceGradients)
        results.append((reports, toy.parameter_values()))
    (flat_reports, flat), (device_reports, device) = results
    assert [report.is_skipped for report in flat_reports] == [report.is_skipped for report in device_reports] == [False, False, True, False]
    for one, other in zip(flat_reports, device_reports, strict=True):
        assert one.losses == pytest.approx(other.losses, nan_ok=True)
    for name, values in flat.items():
        np.testing.assert_allclose(values, device[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_half_precision_trains_with_a_loss_scale_and_float_parameters(toy: ModuleType) -> None:
    toy.draw_parameters()
    arrays = next(toy.Loader().epoch(0)).arrays
    full = toy.make_step(Single(), batch_stat=False).run(arrays, 0.0)
    nn.clear_parameters()  # those of a step in float32 stay float32
    toy.draw_parameters()
    with nn.context_scope(resolve("cpu", type_config="half").context):
        step = toy.make_step(Single(), batch_stat=False, scaling=LossScalingConfig(scale=8.0, dynamic=True))
        half = [step.run(arrays, 1e-2) for _ in range(3)]
    assert not any(report.is_skipped for report in half)
    assert half[0].gradient_norm == pytest.approx(full.gradient_norm, rel=0.01)
    assert half[2].total < half[0].total


def test_a_scale_far_too_large_comes_down_until_gradients_fit(toy: ModuleType) -> None:
    toy.draw_parameters()
    with nn.context_scope(resolve("cpu", type_config="half").context):
        step = toy.make_step(Single(), scaling=LossScalingConfig(scale=2.0**20, dynamic=True, max_skips=20))
        reports = [step.run(next(toy.Loader().epoch(0)).arrays, 1e-2) for _ in range(14)]
    skipped = [report.is_skipped for report in reports]
    count = skipped.index(False)
    assert 0 < count < 14
    assert [report.loss_scale for report in reports[: count + 1]] == [2.0 ** (20 - i) for i in range(count + 1)]
    assert reports[-1].total < reports[count].total
    assert all(str(parameter.data.dtype) == "float32" for parameter in nn.get_parameters(grad_only=False).values())
    assert all(int(state["t"]) == skipped.count(False) for state in step.solver.states().values())


def test_only_plain_float_on_the_cpu_has_flat_gradients() -> None:
    assert is_plain_cpu(nn.Context(["cpu:float"], "CpuCachedArray", "0"))
    assert not is_plain_cpu(nn.Context(["cpu:half", "cpu:float"], "CpuCachedArray", "0"))
    assert not is_plain_cpu(nn.Context(["cudnn:float", "cuda:float", "cpu:float"], "CudaCachedArray", "0"))


def test_validation_gives_the_losses_without_touching_the_parameters(toy: ModuleType) -> None:
    toy.draw_parameters()
    arrays = next(toy.Loader().epoch(0)).arrays
    settings = {"loss_weights": toy.WEIGHTS, "communicator": Single(), "counts": ("count",)}
    validation = ValidationStep(lambda inputs: toy.losses(inputs, False), **settings)
    before = toy.parameter_values()
    first, second = validation.run(arrays), validation.run(arrays)
    assert first == second
    assert first["total"] == pytest.approx(first["square"] + 0.1 * first["absolute"])
    assert all((values == before[name]).all() for name, values in toy.parameter_values().items())
    report = toy.make_step(Single(), batch_stat=False).run(arrays, 0.0)
    assert report.losses == pytest.approx({name: value for name, value in first.items() if name != "total"})


def test_an_empty_share_of_a_validation_batch_adds_nothing(toy: ModuleType) -> None:
    toy.draw_parameters()
    step = ValidationStep(toy.losses, loss_weights=toy.WEIGHTS, communicator=Single(), counts=("count",))
    assert set(step.run({}).values()) == {0.0}


def test_weights_for_other_losses_than_there_are_is_our_own_mistake(toy: ModuleType) -> None:
    toy.draw_parameters()
    step = ValidationStep(toy.losses, loss_weights={"other": 1.0}, communicator=Single(), counts=("count",))
    with pytest.raises(ValueError, match=r"losses are \['absolute', 'square'\], but weights are given for \['other'\]"):
        step.run(next(toy.Loader().epoch(0)).arrays)
