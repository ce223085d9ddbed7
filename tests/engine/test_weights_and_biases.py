"""A run of Weights & Biases that is never sent anywhere, read back from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import nnabla as nn
import numpy as np
import pytest

from centernet.engine import checkpoint
from centernet.engine.checkpoint import Checkpoint
from centernet.engine.communicator import Single
from centernet.engine.monitors import CsvFile, read_csv
from centernet.engine.pictures import Pictures
from centernet.engine.weights_and_biases import Wandb, WandbConfig, check_login
from centernet.errors import ConfigError
from centernet.imaging.io import encode_png, read_image

wandb = pytest.importorskip("wandb")


def picture(epoch: int) -> bytes:
    return encode_png(np.full((3, 5, 3), 50 * epoch, np.uint8))


def train(toy: ModuleType, folder: Path, start: Checkpoint | None = None) -> None:
    """Three epochs of four steps with rows of every second step, or what is left of them."""
    nn.clear_parameters()
    toy.draw_parameters(seed=0 if start is None else 99)
    run = Wandb(folder, WandbConfig(project="shapes"), facts={"train": {"epochs": 3}}, every=2)
    monitors = [run, CsvFile(folder / "metrics.csv", every=2), Pictures(picture, [run])]
    trainer = toy.make_trainer(
        Single(), folder, monitors=monitors, metrics=lambda epoch: {"AP": 0.1 * epoch}, validate_every=1, save_every=1
    )
    if start is not None:
        checkpoint.restore(start, trainer.step)
    trainer.fit(start.progress if start is not None else None)


def runs(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"), key=lambda path: path.stat().st_mtime_ns)


def logged(run: Path) -> dict[str, list[tuple[int, Any]]]:
    """Key -> (step, value) of everything in a run's own file."""
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    wandb.teardown()  # waits for the process that writes
    store = DataStore()
    store.open_for_scan(str(next(run.glob("run-*.wandb"))))
    found: dict[str, list[tuple[int, Any]]] = {}
    while (data := store.scan_data()) is not None:
        record = Record.FromString(data)
        if record.HasField("history"):
            values = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            for key in values:
                found.setdefault(key, []).append((values["_step"], values[key]))
    store.close()
    return found


@pytest.fixture
def trained(toy: ModuleType, tmp_path: Path) -> Path:
    train(toy, tmp_path)
    return tmp_path


def test_a_run_holds_the_numbers_of_the_table_and_the_pictures(trained: Path) -> None:
    (run,) = runs(trained)
    found = logged(run)
    for row in read_csv(trained / "metrics.csv"):
        numbers = {name: float(text) for name, text in row.items() if name not in ("kind", "epoch", "iteration", "seconds")}
        for name, value in numbers.items():
            assert dict(found[f"{row['kind']}/{name}"])[int(row["iteration"])] == pytest.approx(value, rel=1e-6)
    assert [step for step, _ in found["step/loss"]] == [2, 4, 6, 8, 10, 12]
    assert found["epoch"][-1] == (12, 2)
    assert found["pictures/caption"] == [(4, "epoch 1"), (8, "epoch 2"), (12, "epoch 3")]
    shown = [read_image(run / "files" / path)[0, 0, 0] for _, path in found["pictures/path"]]
    assert shown == [0, 50, 100]


def test_going_on_from_an_earlier_checkpoint_goes_on_with_the_run_and_repeats_no_step(toy: ModuleType, trained: Path) -> None:
    train(toy, trained, checkpoint.load(trained, "0"))
    assert len({run.name.split("-")[3] for run in runs(trained)}) == 1  # folders of one second have a number behind the run's name
    steps = [step for run in runs(trained) for step, _ in logged(run).get("step/loss", [])]
    assert steps == [2, 4, 6, 8, 10, 12]


@pytest.mark.slow
def test_a_new_training_is_another_run(toy: ModuleType, trained: Path) -> None:
    train(toy, trained)
    first, second = runs(trained)
    assert first.name.split("-")[3] != second.name.split("-")[3]
    assert logged(second)["step/loss"] == logged(first)["step/loss"]


def test_uploading_without_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_login(WandbConfig(mode="offline"))
    monkeypatch.setattr(type(wandb.api), "api_key", None, raising=False)
    with pytest.raises(ConfigError, match=r"train\.wandb\.mode: online needs an API key"):
        check_login(WandbConfig(mode="online"))


def test_what_weights_and_biases_refuses_is_a_users_error(toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: Any) -> None:
        raise wandb.errors.CommError("no such project")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(ConfigError, match="W&B cannot begin a run: no such project"):
        train(toy, tmp_path)
