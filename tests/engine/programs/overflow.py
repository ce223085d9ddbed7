"""One rank's gradient overflows under a dynamic loss scale: all ranks skip the step together."""

import numpy as np
import toy

from centernet.engine.communicator import create
from centernet.engine.endings import ending_all
from centernet.engine.precision import LossScalingConfig

communicator = create()
with ending_all(communicator):
    toy.draw_parameters()
    step = toy.make_step(communicator, scaling=LossScalingConfig(scale=8.0, dynamic=True))
    loader = toy.Loader(rank=communicator.rank, size=communicator.size, poison=(0, 1, 3))
    skipped, scales, before = [], [], {}
    for batch in loader.epoch(0):
        before = toy.parameter_values()
        report = step.run(batch.arrays, 1e-2)
        after = toy.parameter_values()
        assert report.is_skipped == all((before[name] == after[name]).all() for name in before)
        assert all(np.isfinite(values).all() for values in after.values())
        skipped.append(report.is_skipped)
        scales.append(step.scaler.scale)
    assert skipped == [False, True, False, False], skipped
    assert scales == [8.0, 4.0, 4.0, 4.0], scales
    assert communicator.gather(step.scaler.state()) == [step.scaler.state()] * communicator.size
    if communicator.rank == 0:
        print("skipped together")
