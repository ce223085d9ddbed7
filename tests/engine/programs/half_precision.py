"""Half precision in some processes: overflows are skipped together and leave no trace, and a resumed training equals a whole one."""

import os
import signal
import sys
from pathlib import Path

import nnabla as nn
import toy

from centernet.engine import checkpoint
from centernet.engine.communicator import create
from centernet.engine.context import resolve
from centernet.engine.endings import ending_all
from centernet.engine.precision import LossScalingConfig

communicator = create()
folder = Path(sys.argv[1])
SCALING = LossScalingConfig(scale=8.0, dynamic=True, growth_interval=3)
POISON = (1, 1, 3)  # epoch, batch, image: with two processes only the second one has it
GOOD, BAD = False, True
# Three good steps double the scale, the bad one halves it and counts anew.
EXPECTED = [(GOOD, 8), (GOOD, 8), (GOOD, 8), (GOOD, 16), (GOOD, 16), (BAD, 16), (GOOD, 8), (GOOD, 8), (GOOD, 8), *[(GOOD, 16)] * 3]


class Watch:
    """A monitor of every rank that compares the values after a skipped step with those before, and may stop training."""

    def __init__(self, step, stop_at=None):
        self.step, self.stop_at, self.seen, self.before = step, stop_at, [], {}

    def look(self, progress, report):
        after = values(self.step)
        if report.is_skipped:
            same = {name: array.tobytes() == self.before[name].tobytes() for name, array in after.items()}
            assert all(same.values()), [name for name, is_same in same.items() if not is_same]
        self.before = after
        self.seen.append((report.is_skipped, report.loss_scale))
        if (progress.epoch, progress.batch) == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)


def values(step):
    """Parameters, running statistics, solver states with their counts of updates."""
    states = {f"{name}/{key}": array for name, arrays in step.solver.states().items() for key, array in arrays.items()}
    return {**toy.parameter_values(), **states}


def train(name, *, resume=False, stop_at=None):
    nn.clear_parameters()
    toy.draw_parameters(seed=99 if resume else 0)
    loader = toy.Loader(rank=communicator.rank, size=communicator.size, poison=POISON)
    trainer = toy.make_trainer(communicator, folder / name, loader=loader, step_options={"scaling": SCALING})
    watch = Watch(trainer.step, stop_at)
    run = trainer._run

    def watched(batch, rate):
        report = run(batch, rate)
        count = len(watch.seen)
        watch.look(checkpoint.Progress(epoch=count // toy.BATCHES, batch=count % toy.BATCHES + 1), report)
        return report

    trainer._run = watched
    start = None
    if resume:
        last = checkpoint.load(folder / name)
        checkpoint.restore(last, trainer.step)
        start = last.progress
    result = trainer.fit(start)
    return result, watch.seen, values(trainer.step), trainer.step.scaler.state()


with ending_all(communicator), nn.context_scope(resolve("cpu", type_config="half").context):
    _, seen, whole, scaler = train("whole")
    assert seen == EXPECTED, seen
    assert communicator.gather(scaler) == [scaler] * communicator.size
    types = {name: str(array.dtype) for name, array in whole.items() if not name.endswith("/t")}
    assert set(types.values()) == {"float32"}, types

    stopped, first, _, middle = train("parts", stop_at=(1, 3))
    assert stopped.exit_code == 143, stopped
    assert (middle["scale"], middle["counter"]) == (8.0, 1), middle  # inside a growth interval
    _, second, resumed, resumed_scaler = train("parts", resume=True)
    assert first + second == EXPECTED, (first, second)
    assert resumed_scaler == scaler, (resumed_scaler, scaler)
    for name, array in whole.items():
        assert array.tobytes() == resumed[name].tobytes(), name
    if communicator.rank == 0:
        print("without a trace")
