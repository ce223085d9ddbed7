"""Training for a time: what is chosen, that measuring leaves no trace, and that the choice holds when training goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centernet import config as configuration
from centernet.engine.budget import Costs
from centernet.errors import ConfigError
from centernet.experiment import train as training
from centernet.experiment.budget import as_chosen, choose, plan_of, within_budget
from centernet.experiment.schema import ExperimentConfig
from centernet.experiment.train import Start, train
from centernet.weights.store import read_parameters


def experiment(root: Path, **settings: Any) -> ExperimentConfig:
    tree: dict[str, Any] = {
        "task": {"name": "ctdet"},
        "data": {
            "dataset": {"name": "shapes", "num_train": 4, "num_val": 2, "image_size": 64},
            "root": str(root),
            "input_size": [64, 64],
            "workers": 0,
        },
        "model": {
            "backbone": {"name": "resnet", "num_layers": 18, "width": 0.125},
            "neck": {"name": "deconv", "width": 0.125},
            "head": {"name": "conv", "hidden_channels": 8},
            "pretrained_model_dir": None,
        },
        "train": {"batch_size": 2, "validate_ap": False, "save_every": 1, "schedule": {"kind": "step"}, **settings},
    }
    return configuration.validate(ExperimentConfig, tree, source="test")


@pytest.fixture
def many_seconds_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure, but believe in numbers with which two epochs fit into an hour, whatever measuring takes."""
    measure = training.measure

    def measured(*arguments: Any, **options: Any) -> Costs:
        found = measure(*arguments, **options)
        assert found.step > 0
        assert found.validation > 0
        return Costs(step=700.0, validation=5.0, batches_per_epoch=found.batches_per_epoch, validate_every=found.validate_every)

    monkeypatch.setattr(training, "measure", measured)


def parameters(output: Path, epoch: int) -> dict[str, Any]:
    return dict(read_parameters(output / "checkpoints" / f"params_{epoch}.h5").parameters)


@pytest.mark.usefixtures("many_seconds_a_step")
def test_a_budget_trains_what_it_says_it_chose_and_measuring_leaves_no_trace(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(experiment(tmp_path / "data", budget="1h"), output=tmp_path / "budget", extension="cpu") == 0
    said = capfd.readouterr().out
    assert "budget 1h: measuring how long a step takes" in said
    chosen = configuration.read_yaml(tmp_path / "budget" / "config.yaml")
    assert chosen["train"]["epochs"] == 2
    assert "budget 1h: 2 epochs of 2 steps" in said
    assert "measured 700 s for a step with its data, 5s for the held-out images; schedule step" in said
    assert chosen["train"]["budget"] is None
    again = configuration.validate(ExperimentConfig, chosen, source="config.yaml")
    assert train(again, output=tmp_path / "again", extension="cpu") == 0
    found, expected = (parameters(tmp_path / name, 1) for name in ("budget", "again"))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.slow
@pytest.mark.usefixtures("many_seconds_a_step")
def test_a_training_that_goes_on_keeps_the_epochs_chosen_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = experiment(tmp_path / "data", budget="1h")
    assert train(config, output=tmp_path / "out", extension="cpu") == 0
    checkpoints = tmp_path / "out" / "checkpoints"
    expected = parameters(tmp_path / "out", 1)
    for path in checkpoints.glob("*_1.*"):  # as if the last epoch had never been
        path.unlink()
    monkeypatch.setattr(training, "measure", None)
    capfd.readouterr()
    assert train(config, output=tmp_path / "out", start=Start(resume_from="latest"), extension="cpu") == 0
    assert "budget 1h: goes on with the 2 epochs chosen when training began" in capfd.readouterr().out
    for name, values in expected.items():
        np.testing.assert_array_equal(parameters(tmp_path / "out", 1)[name], values, err_msg=name)
    facts = json.loads((checkpoints / "checkpoint_1.json").read_text())["centernet"]["facts"]
    assert facts["plan"]["epochs"] == 2


def test_without_a_budget_nothing_is_measured(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    assert within_budget(config, resumed=None, measured=lambda: pytest.fail("measured")) == (config, {}, [])


def test_a_budget_too_short_for_an_epoch_says_what_one_takes(tmp_path: Path) -> None:
    costs = Costs(step=2.0, validation=30.0, batches_per_epoch=95, validate_every=5)
    with pytest.raises(ConfigError, match=r"train\.budget: 1m is too short for one epoch: 95 steps; measured 2 s for .*together 4min 2s"):
        choose(experiment(tmp_path, budget="1m"), costs, spent=10.0)


def test_the_choice_says_what_it_rests_on(tmp_path: Path) -> None:
    config, text = choose(
        experiment(tmp_path, budget="2h", epochs=140), Costs(step=0.25, validation=60, batches_per_epoch=800, validate_every=5), spent=100.0
    )
    assert (config.train.epochs, config.train.schedule.lr_steps) == (31, (20, 27))
    assert text == (
        "budget 2h: 31 epochs of 800 steps, 7 looks at the held-out images, about 1h 50min; "
        "measured 0.25 s for a step with its data, 1min 0s for the held-out images; schedule step, 1 epochs of warm-up, lr_steps 20, 27"
    )


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (None, r"train\.budget: 2h, but the training to go on with began with none.*leave it out; train\.epochs says how long"),
        ("1h", r"train\.budget: 2h, but the training to go on with began with 1h, and its schedule cannot be chosen again; give 1h"),
    ],
)
def test_another_budget_than_the_one_training_began_with_is_refused(tmp_path: Path, begun: str | None, said: str) -> None:
    config = experiment(tmp_path, budget="2h")
    with pytest.raises(ConfigError, match=said):
        as_chosen(config, plan_of(config, begun) if begun else None)


def test_what_is_no_time_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.budget: found '2 hours', expected a time such as 2h, 1h30m, 90m or 45s"):
        experiment(tmp_path, budget="2 hours")
