"""Begin a training for an hour in processes whose steps take differently long, and print what each chose; it is not trained.

Usage: choose_epochs.py FOLDER
"""

import sys
from pathlib import Path
from typing import Any

from centernet import config as configuration
from centernet.engine.checkpoint import Progress
from centernet.engine.trainer import FitResult, Trainer
from centernet.experiment import budget
from centernet.experiment.schema import ExperimentConfig
from centernet.experiment.train import train

TREE = {
    "task": {"name": "ctdet"},
    "data": {
        "dataset": {"name": "shapes", "num_train": 4, "num_val": 2, "image_size": 64},
        "root": f"{sys.argv[1]}/data",
        "input_size": [64, 64],
        "workers": 0,
    },
    "model": {
        "backbone": {"name": "resnet", "num_layers": 18, "width": 0.125},
        "neck": {"name": "deconv", "width": 0.125},
        "head": {"name": "conv", "hidden_channels": 8},
        "pretrained_model_dir": None,
    },
    "train": {"batch_size": 1, "budget": "1h", "validate_ap": False, "schedule": {"kind": "step", "lr_steps": [90, 120]}},
}


def seconds_per_step(step: Any, *_: Any, **__: Any) -> float:
    """Of the second process seven times those of the first."""
    return float((100.0, 700.0)[step.communicator.rank])


def fit(trainer: Trainer, start: Progress | None = None) -> FitResult:
    """Say what would be trained."""
    rates = [trainer.learning_rate(epoch, 0) for epoch in range(trainer.num_epochs)]
    print(f"rank {trainer.communicator.rank}: {trainer.num_epochs} epochs of {trainer.loader.batches_per_epoch} steps, rates {rates}")
    return FitResult(progress=Progress())


if __name__ == "__main__":
    budget._seconds_per_step = seconds_per_step  # type: ignore[assignment]
    Trainer.fit = fit  # type: ignore[method-assign]
    experiment = configuration.validate(ExperimentConfig, TREE, source="test")
    sys.exit(train(experiment, output=Path(sys.argv[1]) / "out", extension="cpu"))
