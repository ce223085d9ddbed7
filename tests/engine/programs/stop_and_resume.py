"""Train the toy in one go and in two, a signal in between, and compare every number. Or in parts of it."""

import os
import signal
import sys
from pathlib import Path

import nnabla as nn
import toy

from centernet.engine import checkpoint
from centernet.engine.communicator import create
from centernet.engine.endings import ending_all

communicator = create()
folder = Path(sys.argv[1])
options = {**toy.IN_PARTS, "batch_stat": False} if "in_parts" in sys.argv else {}


class Stop:
    """A monitor that sends this process a signal after the second step of the second epoch."""

    def stepped(self, progress, report, **_):
        if (progress.epoch, progress.batch) == (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)

    def __getattr__(self, name):
        return lambda *_, **__: None


def train(name, *monitors, resume=False):
    nn.clear_parameters()
    toy.draw_parameters(seed=99 if resume else 0)
    trainer = toy.make_trainer(communicator, folder / name, monitors=monitors, save_every=1, step_options=dict(options))
    start = None
    if resume:
        last = checkpoint.load(folder / name)
        checkpoint.restore(last, trainer.step)
        start = last.progress
    result = trainer.fit(start)
    return result, toy.parameter_values(), trainer.step.solver.states()


with ending_all(communicator):
    _, parameters, states = train("whole")
    stopped, _, _ = train("parts", Stop())
    assert stopped.exit_code == 143, stopped
    assert (stopped.progress.epoch, stopped.progress.batch) == (1, 2), stopped
    resumed, found, found_states = train("parts", resume=True)
    assert resumed.exit_code == 0, resumed
    for name, values in parameters.items():
        assert (values == found[name]).all(), name
    for name, arrays in states.items():
        for key, values in arrays.items():
            assert (values == found_states[name][key]).all(), (name, key)
    if communicator.rank == 0:
        print("equal")
