"""Train the toy; the measurement after epoch 1 would never end but for a signal to one rank. Go on, and compare with one in one go.

Arguments: folder, which rank gets the signal, whether `losses` or `metrics` are being measured then.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

import nnabla as nn
import numpy as np
import toy

from centernet.engine import checkpoint
from centernet.engine.communicator import create
from centernet.engine.endings import ending_all
from centernet.engine.evaluation import evaluate
from centernet.engine.monitors import CsvFile, read_csv
from centernet.engine.step import ValidationStep
from centernet.structures import Detections

communicator = create()
folder, guilty, endless = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


class Nothing:
    """A metric."""

    def update(self, image_index, detections):
        pass

    def state(self):
        return {}

    def merge(self, states):
        pass

    def compute(self):
        return {"AP": 0.5}


def counted(is_endless):
    """Three, or on and on; the signal comes with the fourth."""
    for number in itertools.count() if is_endless else range(3):
        if number == 3 and communicator.rank == guilty:
            os.kill(os.getpid(), signal.SIGTERM)
        yield number


def metrics(is_endless):
    samples = ((number, 0.5) for number in counted(is_endless))
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    return evaluate(lambda part: [nothing for _ in part], samples, Nothing(), communicator)


def losses(is_endless):
    step = ValidationStep(
        lambda inputs: toy.losses(inputs, batch_stat=False), loss_weights=toy.WEIGHTS, communicator=communicator, counts=("count",)
    )
    batch = next(toy.Loader(rank=communicator.rank, size=communicator.size).epoch(99))
    return [step.run(batch.arrays) for _ in counted(is_endless)][-1]


def train(name, *, is_endless=False, resume=False):
    nn.clear_parameters()
    toy.draw_parameters(seed=99 if resume else 0)
    epochs = iter(range(int(resume), 9))  # how often something was measured is the epoch
    trainer = toy.make_trainer(
        communicator,
        folder / name,
        monitors=[CsvFile(folder / name / "metrics.csv", every=1)],
        validate_every=1,
        validation_losses=lambda: losses(is_endless and endless == "losses" and next(epochs) == 1),
        metrics=lambda epoch: metrics(is_endless and endless == "metrics" and epoch == 1),
    )
    start = None
    if resume:
        last = checkpoint.load(folder / name)
        assert last.path.name == "checkpoint_interrupted.json", last.path
        checkpoint.restore(last, trainer.step)
        start = last.progress
    return trainer.fit(start), toy.parameter_values()


with ending_all(communicator):
    result, parameters = train("whole")
    stopped, _ = train("parts", is_endless=True)
    assert stopped.exit_code == 143, stopped
    assert (stopped.progress.epoch, stopped.progress.batch, stopped.progress.iteration) == (1, toy.BATCHES, 2 * toy.BATCHES), stopped
    resumed, found = train("parts", resume=True)
    for progress in (result.progress, resumed.progress):
        assert (progress.epoch, progress.batch, progress.best, progress.best_epoch) == (3, 0, 0.5, 0), progress
    for name, values in parameters.items():
        assert (values == found[name]).all(), name
    if communicator.rank == 0:
        whole, parts = (read_csv(folder / name / "metrics.csv") for name in ("whole", "parts"))
        timed = ("seconds", "images_per_second", "waiting")
        assert [{k: v for k, v in row.items() if k not in timed} for row in whole] == [
            {k: v for k, v in row.items() if k not in timed} for row in parts
        ]
        print("equal")
