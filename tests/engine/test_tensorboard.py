"""TensorBoard's event files, read back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.engine import checkpoint
from centernet.engine.checkpoint import Checkpoint, Progress
from centernet.engine.communicator import Single
from centernet.engine.endings import Interrupted
from centernet.engine.monitors import CsvFile, read_csv
from centernet.engine.pictures import Pictures
from centernet.engine.tensorboard import TensorBoard
from centernet.imaging.io import encode_png

pytest.importorskip("tensorboardX")

ReadEvents = Callable[[Path], dict[str, list[tuple[int, Any]]]]


def picture(epoch: int) -> bytes:
    return encode_png(np.full((3, 5, 3), epoch, np.uint8))


def train(toy: ModuleType, folder: Path, start: Checkpoint | None = None, **options: Any) -> None:
    """Three epochs of four steps with rows of every second step, or what is left of them."""
    nn.clear_parameters()
    toy.draw_parameters(seed=0 if start is None else 99)
    board = TensorBoard(folder / "board", every=2)
    monitors = [board, CsvFile(folder / "metrics.csv", every=2), Pictures(picture, [board])]
    options = {"metrics": lambda epoch: {"AP": 0.1 * epoch}, "validate_every": 1, "save_every": 1, **options}
    trainer = toy.make_trainer(Single(), folder, monitors=monitors, **options)
    if start is not None:
        checkpoint.restore(start, trainer.step)
    trainer.fit(start.progress if start is not None else None)


def without_times(events: dict[str, list[tuple[int, Any]]]) -> dict[str, list[tuple[int, Any]]]:
    return {tag: values for tag, values in events.items() if tag not in ("step/images_per_second", "step/waiting")}


def test_the_numbers_are_those_of_the_table_at_their_iterations(toy: ModuleType, tmp_path: Path, read_events: ReadEvents) -> None:
    train(toy, tmp_path)
    found = read_events(tmp_path / "board")
    rows = read_csv(tmp_path / "metrics.csv")
    numbers = {f"{row['kind']}/{name}" for row in rows for name in row if name not in ("kind", "epoch", "iteration", "seconds")}
    assert set(found) == numbers | {"pictures"}
    for tag in numbers:
        kind, _, name = tag.partition("/")
        expected = [(int(row["iteration"]), float(row[name])) for row in rows if row["kind"] == kind and name in row]
        assert [step for step, _ in found[tag]] == [step for step, _ in expected]
        np.testing.assert_allclose([value for _, value in found[tag]], [value for _, value in expected], rtol=1e-6)
    assert found["pictures"] == [(4, picture(0)), (8, picture(1)), (12, picture(2))]


def test_going_on_from_an_earlier_checkpoint_shows_every_step_once(toy: ModuleType, tmp_path: Path, read_events: ReadEvents) -> None:
    train(toy, tmp_path / "whole")
    train(toy, tmp_path / "parts")
    earlier = checkpoint.load(tmp_path / "parts", "0")
    assert earlier.progress.iteration == 4
    train(toy, tmp_path / "parts", earlier)
    assert len(list((tmp_path / "parts" / "board").iterdir())) == 2
    expected = read_events(tmp_path / "whole" / "board")
    assert expected["step/loss"][-1][0] == 12
    assert without_times(read_events(tmp_path / "parts" / "board")) == without_times(expected)


def test_a_measurement_that_was_ended_and_made_again_is_shown_once(toy: ModuleType, tmp_path: Path, read_events: ReadEvents) -> None:
    def interrupted(epoch: int) -> dict[str, float]:
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            raise Interrupted
        return {"AP": 0.1 * epoch}

    train(toy, tmp_path / "whole")
    train(toy, tmp_path / "parts", metrics=interrupted)
    train(toy, tmp_path / "parts", checkpoint.load(tmp_path / "parts"))
    assert without_times(read_events(tmp_path / "parts" / "board")) == without_times(read_events(tmp_path / "whole" / "board"))


def test_a_new_training_in_the_same_folder_begins_anew(toy: ModuleType, tmp_path: Path, read_events: ReadEvents) -> None:
    train(toy, tmp_path, num_epochs=2)
    train(toy, tmp_path, num_epochs=1)
    assert [step for step, _ in read_events(tmp_path / "board")["epoch/loss"]] == [4]


def test_tensorboard_itself_reads_the_same(toy: ModuleType, tmp_path: Path, read_events: ReadEvents) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(toy, tmp_path)
    train(toy, tmp_path, checkpoint.load(tmp_path, "1"))
    board = accumulator.EventAccumulator(str(tmp_path / "board"), size_guidance={"scalars": 0, "images": 0}).Reload()
    found = {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in board.Tags()["scalars"]}
    found |= {tag: [(event.step, event.encoded_image_string) for event in board.Images(tag)] for tag in board.Tags()["images"]}
    assert found == read_events(tmp_path / "board")
    assert [(event.width, event.height) for event in board.Images("pictures")] == [(5, 3)] * 3


def test_a_full_disk_is_an_error_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one of a thread in the background, which would leave the next step waiting for ever."""
    board = TensorBoard(tmp_path, every=1)
    board.started(Progress())

    def full(content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(board._writer, "write", full)
    with pytest.raises(OSError, match="No space left"):
        board.validated(0, {}, {"AP": 0.5})
    board.ended("")
