from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import nnabla as nn
import nnabla.solvers as S
import numpy as np
import pytest

from centernet.engine import checkpoint, pending
from centernet.engine.checkpoint import Checkpointer, Progress
from centernet.engine.communicator import Single
from centernet.engine.moving_average import MovingAverage, MovingAverageConfig
from centernet.engine.step import TrainStep
from centernet.errors import OutputError, WeightsError
from centernet.weights.store import read_parameters

AFTER_EPOCH_3 = Progress(epoch=4, iteration=40, best=0.5, best_epoch=2, seconds=12.5)


@pytest.fixture
def step(toy: ModuleType) -> TrainStep:
    """The toy after one step."""
    toy.draw_parameters()
    step = toy.make_step(Single())
    step.run(next(toy.Loader().epoch(0)).arrays, 1e-2)
    return step


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_checkpoint_is_three_files_named_by_the_epoch_just_finished(step: TrainStep, tmp_path: Path) -> None:
    path = Checkpointer(tmp_path / "new", description={"task": "toy"}).save(step, AFTER_EPOCH_3)
    assert path == tmp_path / "new" / "params_3.h5"
    assert names(tmp_path / "new") == {"params_3.h5", "states_3.h5", "checkpoint_3.json"}
    assert read_parameters(path).description == {"task": "toy"}


def test_loading_gives_back_what_was_saved(step: TrainStep, toy: ModuleType, tmp_path: Path) -> None:
    Checkpointer(tmp_path, facts={"seed": 7}).save(step, AFTER_EPOCH_3)
    found = checkpoint.load(tmp_path, 3)
    assert found.progress == AFTER_EPOCH_3
    assert found.facts == {"seed": 7}
    assert found.scaler == step.scaler.state()
    states = step.solver.states()
    assert list(found.parameters) == list(step.parameters())
    assert all((found.states[name][key] == array).all() for name, arrays in states.items() for key, array in arrays.items())

    expected = toy.parameter_values()
    nn.clear_parameters()
    toy.draw_parameters(seed=5)
    other = toy.make_step(Single())
    checkpoint.restore(found, other)  # before its first graph is built
    other.prepare(next(toy.Loader().epoch(0)).arrays)
    assert all((values == expected[name]).all() for name, values in toy.parameter_values().items())
    assert all((other.solver.states()[name][key] == array).all() for name, arrays in states.items() for key, array in arrays.items())


def test_nnablas_own_loaders_read_parameters_and_states(step: TrainStep, tmp_path: Path) -> None:
    Checkpointer(tmp_path).save(step, AFTER_EPOCH_3)
    parameters, states = step.parameters(), step.solver.states()
    expected = {name: parameter.d.copy() for name, parameter in parameters.items()}
    nn.clear_parameters()
    nn.load_parameters(str(tmp_path / "params_3.h5"))
    assert list(nn.get_parameters(grad_only=False)) == list(expected)
    assert {name for name, p in nn.get_parameters(grad_only=False).items() if not p.need_grad} == {"norm/bn/mean", "norm/bn/var"}
    fresh = S.Adam()
    fresh.set_parameters(nn.get_parameters())
    fresh.load_states(str(tmp_path / "states_3.h5"))
    for name, state in fresh.get_states().items():
        assert state.t == 1
        np.testing.assert_array_equal(state.pstate["mean"].d, states[name]["mean"])


def test_parameters_stay_and_solver_states_are_kept_for_the_last_few(step: TrainStep, tmp_path: Path) -> None:
    writer = Checkpointer(tmp_path, keep_states=2)
    for epoch in (1, 6, 11, 16):
        writer.save(step, Progress(epoch=epoch, iteration=epoch))
    kept = {"states_10.h5", "states_15.h5", "checkpoint_10.json", "checkpoint_15.json"}
    assert names(tmp_path) == kept | {f"params_{epoch}.h5" for epoch in (0, 5, 10, 15)}
    with pytest.raises(WeightsError, match=r"no checkpoint of epoch 5 to resume from; there are: 10, 15"):
        checkpoint.load(tmp_path, 5)


def test_the_latest_checkpoint_is_the_one_written_last_also_inside_an_epoch(step: TrainStep, tmp_path: Path) -> None:
    writer = Checkpointer(tmp_path)
    writer.save(step, Progress(epoch=9, iteration=90))
    writer.save(step, Progress(epoch=6, batch=3, iteration=63, sums={"total": 0.1 + 0.2}, steps=3))
    found = checkpoint.load(tmp_path)
    assert found.path.name == "checkpoint_interrupted.json"
    assert (found.progress.epoch, found.progress.batch, found.progress.sums["total"]) == (6, 3, 0.1 + 0.2)


def test_an_interrupted_checkpoint_goes_when_its_epoch_is_complete(step: TrainStep, tmp_path: Path) -> None:
    writer = Checkpointer(tmp_path)
    writer.save(step, Progress(epoch=0, batch=2, iteration=2))
    assert "checkpoint_interrupted.json" in names(tmp_path)
    writer.save(step, Progress(epoch=1, iteration=4))
    assert names(tmp_path) == {"params_0.h5", "states_0.h5", "checkpoint_0.json"}


def test_the_best_model_is_a_file_of_its_own(step: TrainStep, tmp_path: Path) -> None:
    path = Checkpointer(tmp_path, description={"task": "toy"}).save_best(step, epoch=3, metrics={"AP": 0.5})
    assert path.name == "params_best.h5"
    assert json.loads((tmp_path / "best.json").read_text()) == {"epoch": 3, "metrics": {"AP": 0.5}}
    with pytest.raises(WeightsError, match=r"no checkpoint_\*\.json"):
        checkpoint.load(tmp_path)


def test_the_predecessors_checkpoints_resume_at_the_next_epoch(step: TrainStep, tmp_path: Path) -> None:
    Checkpointer(tmp_path).save(step, AFTER_EPOCH_3)
    path = tmp_path / "checkpoint_3.json"
    old = {"": {"states_path": "exp/run/checkpoints/states_3.h5", "params_names": ["b", "a"], "num_update": 40}}
    path.write_text(json.dumps(old | {"params_path": "exp/run/checkpoints/params_3.h5", "current_iter": 3}))
    found = checkpoint.load(tmp_path)
    assert found.progress == Progress(epoch=4, iteration=40)
    checkpoint.restore(found, step)
    assert step.scaler.scale == 1.0


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """From the `after`-th file on, nothing reaches the disk."""
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("centernet.weights.store.os.fsync", full)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_disk_that_fills_up_leaves_the_old_checkpoint_whole(
    step: TrainStep, toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    writer = Checkpointer(tmp_path)
    writer.save(step, AFTER_EPOCH_3)
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    step.run(next(toy.Loader().epoch(1)).arrays, 1e-2)
    fill_the_disk(monkeypatch, after)
    with pytest.raises(OutputError, match="No space left on device"):
        writer.save(step, AFTER_EPOCH_3)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old


def killed_at(replacement: int, save: Callable[[], object]) -> bool:
    """Whether a process that saves was killed (for good: nothing is cleaned up) when it was about to rename so many files."""
    child = os.fork()
    if child == 0:
        rename, calls = os.replace, []

        def replacing(source: Any, target: Any) -> None:
            calls.append(target)
            if len(calls) > replacement:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(source, target)

        os.replace = replacing
        with contextlib.suppress(BaseException):
            save()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("progress", [AFTER_EPOCH_3, Progress(epoch=6, batch=3, iteration=63)])
@pytest.mark.parametrize("averaged", [False, True])
def test_a_process_killed_at_any_moment_leaves_a_whole_checkpoint(
    toy: ModuleType, tmp_path: Path, progress: Progress, averaged: bool
) -> None:
    toy.draw_parameters()
    step = toy.make_step(Single(), average=MovingAverage(MovingAverageConfig()) if averaged else None)
    batch = next(toy.Loader().epoch(0)).arrays
    step.run(batch, 1e-2)

    def held() -> Any:
        found = checkpoint.load(tmp_path)
        arrays = [*found.parameters.values(), *(array for state in found.states.values() for array in state.values())]
        average = [] if found.average is None else [*found.average[0].values(), np.array(found.average[1])]
        return found.progress.iteration, [array.tobytes() for array in (*arrays, *average)]

    writer = Checkpointer(tmp_path)
    outcomes = []
    for replacement in range(20):
        writer.save(step, progress)
        before = held()
        step.run(batch, 1e-2)
        progress = replace(progress, iteration=progress.iteration + 1)
        was_killed = killed_at(replacement, partial(writer.save, step, progress))
        left = held()
        writer.save(step, progress)
        assert left in (before, held()), replacement
        assert not [name for name in names(tmp_path) if name.startswith(pending.NEW)]
        outcomes.append(left == before)
        if not was_killed:
            break
    assert outcomes == sorted(outcomes, reverse=True)  # the old one up to some moment, from then on the new one
    assert len(outcomes) == (9 if averaged else 7)


def test_what_a_killed_process_left_of_a_first_checkpoint_is_found(step: TrainStep, tmp_path: Path) -> None:
    writer = Checkpointer(tmp_path)
    assert killed_at(4, lambda: writer.save(step, AFTER_EPOCH_3))
    assert "checkpoint_3.json" not in names(tmp_path)
    assert checkpoint.load(tmp_path).progress == AFTER_EPOCH_3
    writer.save(step, Progress(epoch=5, iteration=50))
    assert names(tmp_path) == {name.format(epoch) for name in ("params_{}.h5", "states_{}.h5", "checkpoint_{}.json") for epoch in (3, 4)}


def test_a_folder_that_cannot_be_made_is_named(step: TrainStep, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/checkpoints: the output folder cannot be made"):
        Checkpointer(tmp_path / "file" / "checkpoints").save(step, AFTER_EPOCH_3)


def test_nothing_to_resume_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no checkpoint_\*\.json to resume from"):
        checkpoint.load(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"": {}, "params_path": "p", "current_iter": 1}'])
def test_a_description_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "checkpoint_1.json").write_text(text)
    with pytest.raises(WeightsError, match=r"checkpoint_1\.json: not a checkpoint description"):
        checkpoint.load(tmp_path)


def test_damaged_or_missing_states_are_named(step: TrainStep, tmp_path: Path) -> None:
    Checkpointer(tmp_path).save(step, AFTER_EPOCH_3)
    states = tmp_path / "states_3.h5"
    states.write_bytes(states.read_bytes()[:100])
    with pytest.raises(WeightsError, match=r"states_3\.h5: not a file of solver states"):
        checkpoint.load(tmp_path)
    states.unlink()
    with pytest.raises(WeightsError, match=r"states_3\.h5: no such file"):
        checkpoint.load(tmp_path)


def test_a_checkpoint_of_another_network_is_refused_with_names_and_shapes(step: TrainStep, tmp_path: Path) -> None:
    Checkpointer(tmp_path).save(step, AFTER_EPOCH_3)
    found = checkpoint.load(tmp_path)
    parameters: dict[str, Any] = dict(found.parameters)
    parameters["two/conv/W"] = np.zeros((5, 6, 1, 1), np.float32)
    del parameters["two/conv/b"]
    wrong = r"2 parameters do not fit.*two/conv/W \(5, 6, 1, 1\), expected \(2, 6, 1, 1\); two/conv/b missing"
    with pytest.raises(WeightsError, match=wrong):
        checkpoint.restore(replace(found, parameters=parameters), step)


def test_states_are_laid_out_as_the_predecessors(step: TrainStep, tmp_path: Path) -> None:
    Checkpointer(tmp_path).save(step, AFTER_EPOCH_3)
    with h5py.File(tmp_path / "states_3.h5") as file:
        assert set(file["one/conv/W"]) == {"mean", "var", "t"}
        assert file["one/conv/W/t"].shape == ()
        assert file["one/conv/W/t"].dtype == np.int64
        assert (file["one/conv/W/var"].attrs["index"], file["one/conv/W/mean"].attrs["index"]) == (0, 1)
